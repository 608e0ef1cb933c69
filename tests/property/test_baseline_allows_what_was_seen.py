"""Everything that was recorded outside quarantine is allowed by its own baseline."""

from __future__ import annotations

import tempfile
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
from tests.recordings import make_recording, shop_recording

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


def seen_in(given: dict[str, list[dict[str, Any]]], executables: list[bytes]) -> list[Seen]:
    """Return what the rows show, told from the rows alone."""
    seen: list[Seen] = [("execs", ExecValue(path=escape(path))) for path in executables]
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
            target = None if row["target"] is None else escape(row["target"])
            seen.append(("operations", OperationValue(operation=row["operation"], target=target)))
        elif row["capability"] is not None:
            name = capability_name(row["capability"])
            seen.append(("capabilities", CapabilityValue(name=name)))
    return seen


@settings(max_examples=30, deadline=None)
@given(tables, st.lists(paths, max_size=4, unique=True))
def test_what_any_recording_shows_is_allowed(
    given: dict[str, list[dict[str, Any]]], executables: list[bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = make_recording(
            Path(folder) / "recording",
            workloads=[{"workload": 1, "kind": "Unit", "name": "a", "container_kind": "none"}],
            instances=[{"instance": n, "workload": 1, "runtime_id": str(n)} for n in (1, 2)],
            executables=[{"exe": n, "path": path} for n, path in enumerate(executables, 1)],
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
