"""Whatever a workload does, an indicator answers, and the same however rows are cut in batches."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.tables import ENUMS, TABLES, Column
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


def _of(name: str) -> list[Indicator]:
    return [rule for rule in RULES if rule.metadata.table == name]
