"""Nothing that was recorded is denied by anything that is exported from it, whatever the target."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.call_arguments import VETTED
from ethogram.contracts.syscall_names import number_of
from exporters.registry import exporters
from exporters.replay.registry import replayers
from tests.recordings import START_NS, WINDOW_NS, make_recording, shop_recording
from tests.shop import SHOP_TABLES
from tests.soundness import export_all, unfounded

pytestmark = pytest.mark.property

SHIPPED = Path(__file__).parents[2] / "notebooks" / "data"
PHASES = ("startup", "steady", "exec", "shutdown", "unknown", "runtime")
CALLS = (
    ("x86_64", "read"),
    ("x86_64", "socket"),
    ("x86_64", "clone"),
    ("x86_64", "personality"),
    ("x86_64", "ptrace"),
    ("i386", "mmap2"),
    ("i386", "socketcall"),
    ("x32", "read"),
)
VALUES = (0, 1, 2, 10, 16, 0x10000000, 0xFFFFFFFF)
ADDRESSES = (
    *("0a00000b", "0a00000c", "0a00001f", "0a600028", "0a60000a", "cb007101", "7f000001"),
    *("a9fe140a", "20010db8000000000000000000000001", "e0000001"),
)
CLUSTER_ADDRESSES = (bytes([10, 96, 0, 40]), bytes([10, 96, 0, 10]))
PORTS = (53, 80, 6379, 40000)
TCP, UDP = 6, 17
Row = dict[str, Any]
# Every cause for which something is left open, of these recordings. A new one is looked at first.
CANNOT_BE_JUDGED = (
    "a recording does not tell `",
    "once it has installed the filter was not measured",
    "nobody in the recording's inventory has that address",
    "its arguments decide, and the recording does not tell them all",
    "it depends on whether the pod names its image by digest",
)
# Its patches refuse nothing by themselves: its own tests are all there is.
NEVER_REPLAYED = {"securitycontext"}


def is_possible(one: Row) -> bool:
    """A runtime calls through the machine's own architecture; nobody connects from a ClusterIP."""
    if "call" in one:
        return one["phase"] != "runtime" or one["call"][0] == "x86_64"
    return one["direction"] != "in" or one["peer"] not in CLUSTER_ADDRESSES


calls = st.fixed_dictionaries(
    {
        "call": st.sampled_from(CALLS),
        "phase": st.sampled_from(PHASES),
        "values": st.lists(st.sampled_from(VALUES), max_size=3, unique=True),
        "is_told": st.booleans(),
    }
).filter(is_possible)
flows = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(["in", "out", "listen"]),
        "phase": st.sampled_from(PHASES),
        "protocol": st.sampled_from([TCP, UDP]),
        "peer": st.sampled_from(ADDRESSES).map(bytes.fromhex),
        "port": st.sampled_from(PORTS),
    }
).filter(is_possible)


def key(phase: str) -> Row:
    return {"window": 1, "workload": 1, "instance": 1, "phase": phase}


def call_rows(seen: list[Row]) -> tuple[list[Row], list[Row]]:
    """Return rows of `syscalls`, each call of a phase once, and of `arguments`."""
    by_key = {(one["call"], one["phase"]): one for one in seen}
    made, told = [], []
    for ((arch, name), phase), one in by_key.items():
        row = key(phase) | {"arch": arch, "nr": number_of(arch, name)}
        made.append(row | {"name": name, "calls": 23})
        if name in VETTED and arch == "x86_64":
            values = [value & VETTED[name].mask for value in one["values"]]
            values = list(dict.fromkeys(values)) if one["is_told"] and values else [None]
            index = {"index": VETTED[name].index, "calls": 1}
            told += [row | index | {"value": value} for value in values]
    return made, told


def flow_row(one: Row) -> Row:
    at = START_NS + WINDOW_NS
    row = key(one["phase"]) | {"exe": 1, "direction": one["direction"], "protocol": one["protocol"]}
    row |= {
        "family": 2 if len(one["peer"]) == 4 else 10,
        "type": 1 if one["protocol"] == TCP else 2,
    }
    row |= {"connections": 1, "first": at, "last": at}
    if one["direction"] == "listen":
        return row | {"local_port": one["port"], "local_addr": bytes(4)}
    port = "local_port" if one["direction"] == "in" else "peer_port"
    return row | {"peer_addr": one["peer"], port: one["port"]}


# The names of a small cluster: those of the made-up shop.
CLUSTER = {
    name: list(SHOP_TABLES[name]) for name in ("workloads", "instances", "executables", "addresses")
}


@settings(max_examples=15)
@given(
    seen=st.lists(calls, min_size=1, max_size=6),
    met=st.lists(flows, max_size=4),
    enforce=st.booleans(),
)
def test_nothing_made_up_is_denied(seen: list[Row], met: list[Row], *, enforce: bool) -> None:
    made, told = call_rows(seen)
    rows = CLUSTER | {
        "syscalls": made,
        "arguments": told,
        "network": [flow_row(one) for one in met],
    }
    with tempfile.TemporaryDirectory() as name:
        path = make_recording(Path(name) / "made.rec", **rows)
        exported = export_all(path, enforce=enforce)
        assert unfounded(exported, exported.against(path)) == []


@pytest.mark.parametrize("enforce", [True, False], ids=["enforced", "logging"])
@pytest.mark.parametrize("name", ["shop.rec", "shop-strange.rec", "made-up shop"])
def test_nothing_recorded_is_denied_and_what_nobody_can_judge_is_listed(
    name: str, enforce: bool, tmp_path: Path
) -> None:
    path = SHIPPED / name if name.endswith(".rec") else shop_recording(tmp_path / "shop")
    exported = export_all(path, enforce=enforce)
    report = exported.against(path)
    assert unfounded(exported, report) == []
    assert set(exported.by_target) | exported.unread | {"systemd"} == set(exporters())
    judged = Counter[str]()
    for (_, _, what), count in report.judged.items():
        judged[what] += count
    assert min(judged[what] for what in ("calls", "connections", "pods")) > 0
    for one in report.left_open.values():
        assert one.count > 0, one
        assert any(words in one.reason for words in CANNOT_BE_JUDGED), one


def test_what_is_exported_and_never_replayed_is_known() -> None:
    assert set(exporters()) - set(replayers()) <= NEVER_REPLAYED
