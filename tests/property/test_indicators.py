"""Whatever a workload does, an indicator answers, and the same however rows are cut in batches."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.alike import OWN
from ethogram.contracts.tables import ENUMS, TABLES, Column
from ethogram.indicators import (
    capture_tool,
    loader_program,
    miner,
    orchestration_tool,
    recon_tool,
    server_shell,
    tunnel_tool,
)
from ethogram.indicators.arguments import runs_script_below, takes_commands
from ethogram.indicators.predicates import (
    INTERPRETERS,
    MULTI_CALL,
    SHELLS,
    TOOLS,
    base_name_is,
    executed,
    matching,
    truth,
)
from ethogram.indicators.protocol import Indicator
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed
from tests.property.test_recording_round_trip import values_of
from tests.unit.indicators.judging import table

pytestmark = pytest.mark.property

RULES = list(indicators().values())
# These look at what was started beside a process, and so at other rows.
BESIDE = {"decoded-script", "downloaded-script"}
TELLING = [
    b"/etc/shadow", b"/proc/1/mem", b"/proc/self/exe", b"/dev/shm/x", b"sh", b"-i", b"-c",
    b"busybox", b"/bin/dash", b"/usr/bin/python3", b"[x]", b"", b"\x00", b"\xff\n$", b"nginx",
]  # fmt: skip
BYTES = st.sampled_from(TELLING) | st.binary(max_size=12)


NAMES = [
    b"sh",
    b"/bin/sh\n",
    b"a/sh/",
    b"/x/python3.11",
    b"/bin/\nsh",
    b"xsh",
    b"linpeas.sh",
    b"nc",
]
LISTS = [recon_tool._TOOLS, tunnel_tool._TOOLS, miner._MINERS, server_shell._SERVERS,
         loader_program._LOADERS, capture_tool._TOOLS, orchestration_tool._TOOLS]  # fmt: skip


def values(column: Column) -> st.SearchStrategy[Any]:
    """Return what a *column* may hold, nothing included where it may be null."""
    found = _values(column)
    return st.none() | found if column.is_nullable else found


def _values(column: Column) -> st.SearchStrategy[Any]:
    kind, _, rest = column.word.partition(":")
    if column.name in ("exe", "instance"):
        return st.sampled_from([0, 1, 2, 3, 4_000_000_000])
    match kind:
        case "enum":
            return st.sampled_from(ENUMS[rest])
        case "list":
            member = BYTES if rest == "bytes" else values_of(rest)
            return st.lists(member, max_size=4)
        case "peers":
            return values_of(kind)
        case "bytes":
            return BYTES
        case "str":
            return st.sampled_from(["a", "b", ""])
        case "bool":
            return st.booleans()
        case "ts":
            return st.integers(0, 2**62)
    bits = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "i32": 31}[column.word]
    return st.sampled_from([0, 1, 2, 13, 17]) | st.integers(0, 2**bits - 1)


def rows_of(name: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    columns = {column.name: values(column) for column in TABLES[name].columns}
    return st.lists(st.fixed_dictionaries(columns), max_size=6)


EXECUTABLES = table(
    "executables",
    *(
        {"exe": number, "path": path, "upper": number == 2}
        for number, path in enumerate((b"/bin/dash", b"/usr/bin/nmap", b"/bin/busybox"), 1)
    ),
)
INSTANCES = table(
    "instances",
    {"instance": 1, "runtime": "runc", "host_namespaces": ["user", "time"]},
    {"instance": 2, "host_namespaces": ["mnt", "pid"]},
    {"instance": 3, "host_namespaces": None},
)


def as_seen(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    return completed(table(name, *rows), EXECUTABLES, INSTANCES)


@pytest.mark.parametrize("name", sorted({rule.metadata.table for rule in RULES}))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_indicator_answers_for_every_row_and_taints_only_matches(
    name: str, data: st.DataObject
) -> None:
    rows = as_seen(name, data.draw(rows_of(name)))
    for rule in _of(name):
        matches, taints = rule.matches(rows), rule.taints(rows)
        assert len(matches) == len(taints) == rows.num_rows
        assert matches.null_count == taints.null_count == 0
        pairs = zip(matches.to_pylist(), taints.to_pylist(), strict=True)
        assert all(match or not taint for match, taint in pairs)


@pytest.mark.parametrize("name", sorted({rule.metadata.table for rule in RULES}))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_rows_are_judged_alone(name: str, data: st.DataObject) -> None:
    rows = as_seen(name, data.draw(rows_of(name)))
    pieces = [rows.slice(index, 1) for index in range(rows.num_rows)]
    for rule in _of(name):
        if rule.metadata.id not in BESIDE:
            alone = [rule.matches(piece).to_pylist()[0] for piece in pieces]
            assert rule.matches(rows).to_pylist() == alone
            joined = pa.concat_tables(pieces) if pieces else rows
            assert rule.matches(joined).to_pylist() == alone


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_processes_that_are_alike_are_judged_alike(data: st.DataObject) -> None:
    """What the detector leaves out of account no indicator looks at; nor a rule on other rows."""
    rows = data.draw(rows_of("processes"))
    one, other = as_seen("processes", rows), as_seen("processes", [_reborn(row) for row in rows])
    others = [executed, takes_commands, partial(runs_script_below, directories="/tmp/")]
    asked = [rule.matches for rule in _of("processes") if rule.metadata.id not in BESIDE]
    for ask in (*asked, *others):
        assert truth(ask(one)).to_pylist() == truth(ask(other)).to_pylist()


def _reborn(row: dict[str, Any]) -> dict[str, Any]:
    """Return *row* with other names, numbers and times, but with parents and trees as they were."""
    changed = {name: None if row[name] is None else f"{row[name]}!" for name in row
               if name.endswith("exec_id")}  # fmt: skip
    numbers = [name for name in OWN - changed.keys() if row[name] is not None]
    return row | changed | {name: row[name] // 2 + 1 for name in numbers}


@settings(max_examples=50, deadline=None)
@given(paths=st.lists(st.none() | BYTES | st.sampled_from(NAMES), max_size=6))
@pytest.mark.parametrize("names", [SHELLS, INTERPRETERS, MULTI_CALL, TOOLS, *LISTS])
def test_a_last_component_is_what_a_regular_expression_finds(
    names: str, paths: list[bytes | None]
) -> None:
    column = pa.chunked_array([pa.array(paths, pa.binary())])
    expected = matching(column, rf"(?:^|/)(?:{names})$").to_pylist()
    assert base_name_is(column, names).to_pylist() == expected
    assert base_name_is(column.dictionary_encode(), names).to_pylist() == expected


def _of(name: str) -> list[Indicator]:
    return [rule for rule in RULES if rule.metadata.table == name]
