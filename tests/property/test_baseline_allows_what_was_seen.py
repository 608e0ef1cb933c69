"""Everything that was recorded outside quarantine is allowed by its own baseline."""

from __future__ import annotations

import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.baseline import (
    AnyValue,
    Baseline,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    OperationValue,
    PeerIdentity,
    PeerValue,
    SyscallValue,
    dump_baseline,
    parse_baseline,
)
from ethogram.contracts.capabilities import capability_name
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.matching import Allowlist
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from learner.dimensions import access_letters, decode_value, split_quarantine_key
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import START_NS, WINDOW_NS, make_recording, shop_recording

pytestmark = pytest.mark.property

Seen = tuple[Dimension, AnyValue]

names = st.binary(min_size=1, max_size=12).filter(lambda raw: b"/" not in raw and b"\0" not in raw)
hostile = st.sampled_from(
    [b"*", b"a*", b"\\x2a", b"\\", b"\xff", b"no", b"\n", b"\xe2\x80\xae", b"a: b", b"1", b"~"]
)
parts = st.one_of(names, hostile, st.sampled_from([b"proc", b"12", b"task", b"etc"]))
paths = st.lists(parts, min_size=1, max_size=4).map(lambda each: b"/" + b"/".join(each))
where = st.fixed_dictionaries(
    {
        "window": st.integers(0, 5),
        "phase": st.sampled_from(ENUMS["phase"]),
        "workload": st.just(1),
        "instance": st.sampled_from([1, 2]),
    }
)


def rows(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.tuples(where, st.fixed_dictionaries(columns))
    return st.lists(one.map(lambda pair: pair[0] | pair[1]), max_size=6)


tables = st.fixed_dictionaries(
    {
        "syscalls": rows(
            arch=st.sampled_from(ENUMS["arch"]), nr=st.integers(0, 600), calls=st.just(1)
        ),
        "files": rows(path=paths, access=st.integers(0, 511), calls=st.just(1)),
        "dns": rows(qname=names),
        "privileges": rows(
            exec_id=st.just("x"),
            operation=st.sampled_from(ENUMS["operation"]),
            capability=st.one_of(st.none(), st.integers(0, 63)),
            target=st.one_of(st.none(), names),
            granted=st.booleans(),
        ),
    }
)

HANDED_OVER = START_NS + 3 * WINDOW_NS
ADDRESSES = [bytes([10, 0, 0, last]) for last in range(1, 5)] + [bytes([0xFD, *bytes(14), 1])]
owners = st.sampled_from(["redis", "web", "a b", "\x1b[2J", "no"])


def held(addr: bytes, kind: str, name: str, since: int, until: int | None) -> dict[str, Any]:
    """Return a row of `addresses`: what has *addr* from *since* until *until*."""
    row = {"addr": addr, "kind": kind, "namespace": "shop", "name": f"shop/{name}"}
    row |= {"selector": {"app": name}, "valid_from": since, "valid_to": until}
    if kind == "pod":
        return row | {"owner_kind": "Deployment", "owner_name": name, "name": f"shop/{name}-x"}
    return row | {"ports": [{"port": 80, "target": "8080", "protocol": "TCP"}]}


holdings = st.tuples(
    st.sampled_from(ADDRESSES), st.sampled_from(["pod", "service", "node"]), owners, owners
).map(
    lambda drawn: [
        held(drawn[0], drawn[1], drawn[2], START_NS, HANDED_OVER),
        held(drawn[0], drawn[1], drawn[3], HANDED_OVER, None),
    ]
)
addresses = st.lists(holdings, max_size=4, unique_by=lambda pair: pair[0]["addr"]).map(
    lambda pairs: [row for pair in pairs for row in pair]
)
network = st.lists(
    st.tuples(
        where,
        st.fixed_dictionaries(
            {
                "direction": st.sampled_from(["in", "out"]),
                "peer_addr": st.sampled_from([*ADDRESSES, bytes([127, 0, 0, 1])]),
                "peer_port": st.sampled_from([None, 80, 443]),
                "local_port": st.sampled_from([None, 80, 8080]),
                "protocol": st.sampled_from([6, 17]),
                "name": st.sampled_from([None, "db.example.com"]),
                "name_trust": st.sampled_from([None, "resolver", "untrusted"]),
                "family": st.just(2),
                "type": st.just(1),
                "connections": st.just(1),
            }
        ),
    ).map(lambda pair: pair[0] | pair[1]),
    max_size=8,
)


def identity_of(row: dict[str, Any], given: list[dict[str, Any]]) -> PeerIdentity | None:
    """Return whose the peer's address was, told from the rows of `addresses` one by one."""
    time = START_NS + row["window"] * WINDOW_NS
    for has in given:
        ends = has["valid_to"] or time + 1
        if has["addr"] != row["peer_addr"] or not has["valid_from"] <= time < ends:
            continue
        name = has["name"].removeprefix("shop/")
        if has["kind"] == "node":
            return PeerIdentity(kind="node", name=escape(has["name"]))
        labels = {"app": escape(has["selector"]["app"])}
        if has["kind"] == "pod":
            name = escape(has["owner_name"])
            return PeerIdentity(
                kind="pod", namespace="shop", owner="Deployment", name=name, selector=labels
            )
        is_offered = (row["direction"], row["peer_port"], row["protocol"]) == ("out", 80, 6)
        return PeerIdentity(
            kind="service",
            namespace="shop",
            name=escape(name),
            selector=labels,
            targets=("8080",) if is_offered else (),
        )
    return None


def peer_of(row: dict[str, Any], given: list[dict[str, Any]]) -> PeerValue:
    who = identity_of(row, given)
    is_moving = who is not None and who.kind != "node"
    is_named = row["name_trust"] == "resolver" and not is_moving
    return PeerValue(
        direction=row["direction"],
        protocol={6: "tcp", 17: "udp"}[row["protocol"]],
        address="" if is_moving else str(ip_address(row["peer_addr"])),
        port=row["peer_port"] if row["direction"] == "out" else row["local_port"],
        name=row["name"] if is_named else None,
        identity=who,
    )


@settings(max_examples=40, deadline=None)
@given(network, addresses)
def test_whoever_was_talked_to_is_allowed_and_nobody_else(
    network: list[dict[str, Any]], addresses: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = make_recording(
            Path(folder) / "recording",
            workloads=[{"workload": 1, "kind": "Unit", "name": "a", "container_kind": "none"}],
            instances=[{"instance": n, "workload": 1, "runtime_id": str(n)} for n in (1, 2)],
            network=network,
            addresses=addresses,
        )
        (learnt,) = learn(summarize(Recording.open(recording)))
    assert parse_baseline(dump_baseline(learnt)) == learnt
    seen = {peer_of(row, addresses) for row in network}
    assert {rule.value for rule in learnt.rules.peers} == seen
    allowlist = Allowlist(learnt)
    for value in seen:
        assert allowlist.allows("peers", value)
        other = value.model_copy(update={"port": 9})
        assert not allowlist.allows("peers", other)


def seen_in(
    given: dict[str, list[dict[str, Any]]], executables: list[tuple[bytes, bool | None]]
) -> list[Seen]:
    """Return what the rows show, told from the rows alone."""
    seen: list[Seen] = [
        ("execs", ExecValue(path=escape(path), upper=upper or None)) for path, upper in executables
    ]
    for row in given["syscalls"]:
        seen.append(("syscalls", SyscallValue(arch=row["arch"], nr=row["nr"])))
    for row in given["files"]:
        access = access_letters(row["access"])
        seen.append(("files", FileValue(path=escape_pattern(row["path"]), access=access)))
    for row in given["dns"]:
        seen.append(("dns", DnsValue(name=escape(row["qname"]))))
    for row in given["privileges"]:
        if not row["granted"]:
            continue
        if row["operation"] != "capability":
            is_named = (
                row["target"] is not None
                and row["operation"] != "link"
                and row["phase"] != "runtime"
            )
            target = escape(row["target"]) if is_named else None
            seen.append(("operations", OperationValue(operation=row["operation"], target=target)))
        elif row["capability"] is not None:
            name = capability_name(row["capability"])
            seen.append(("capabilities", CapabilityValue(name=name)))
    return seen


@settings(max_examples=30, deadline=None)
@given(
    tables,
    st.lists(st.tuples(paths, st.sampled_from([None, False, True])), max_size=4, unique=True),
)
def test_what_any_recording_shows_is_allowed(
    given: dict[str, list[dict[str, Any]]], executables: list[tuple[bytes, bool | None]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = make_recording(
            Path(folder) / "recording",
            workloads=[{"workload": 1, "kind": "Unit", "name": "a", "container_kind": "none"}],
            instances=[{"instance": n, "workload": 1, "runtime_id": str(n)} for n in (1, 2)],
            executables=[
                {"exe": n, "path": path, "upper": upper}
                for n, (path, upper) in enumerate(executables, 1)
            ],
            processes=[
                {"workload": 1, "instance": 1, "exec_id": str(n), "exe": n, "tgid": n}
                for n in range(1, len(executables) + 1)
            ],
            **given,
        )
        (learnt,) = learn(summarize(Recording.open(recording)))
    baseline = parse_baseline(dump_baseline(learnt))
    assert baseline == learnt
    allowlist = Allowlist(baseline)
    quarantined = {(one.dimension, one.value) for one in baseline.quarantined}
    for dimension, value in seen_in(given, executables):
        assert allowlist.allows(dimension, value) or (dimension, value) in quarantined


def test_every_row_of_the_shop_is_allowed(tmp_path: Path) -> None:
    summary = summarize(Recording.open(shop_recording(tmp_path / "r")))
    baselines = {each.subject.name: each for each in learn(summary)}
    counted = 0
    for row in summary.to_pylist():
        if row["dimension"] not in Baseline.model_fields["rules"].annotation.model_fields:
            continue
        name = "checkout" if "/checkout/" in row["workload_key"] else "loadgen"
        value = decode_value(row["dimension"], row["arch"], row["key"])
        assert Allowlist(baselines[name]).allows(row["dimension"], value)
        counted += 1
    assert counted > 50


def test_a_quarantine_key_keeps_any_bytes() -> None:
    from learner.dimensions import quarantine_key  # noqa: PLC0415

    for key in (b"", bytes(range(256)), b'["/x","r"]'):
        assert split_quarantine_key(quarantine_key("files", key, ["a"])) == ("files", key, ("a",))
