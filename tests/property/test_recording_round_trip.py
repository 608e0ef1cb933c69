"""Rows in are rows out: through the journal, through a cut of it, through compaction."""

import string
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ethogram.contracts.columns import batch_of
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary, write_summary
from ethogram.contracts.tables import ENUMS, SUMMARY, TABLES, Column, Table
from profiler.compaction import compact
from profiler.journal import Journal
from tests.recordings import make_manifest

pytestmark = pytest.mark.property

_BITS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_RAW = st.binary(max_size=8)
_PORT = st.fixed_dictionaries(
    {"port": st.integers(0, 65535), "target": _TEXT, "protocol": st.sampled_from(["TCP", "UDP"])}
)
_U16 = st.integers(0, 65535)
_PEER = st.fixed_dictionaries(
    {
        "fd": st.integers(0, 2),
        "family": _U16,
        "type": _U16,
        **{name: st.none() | _RAW for name in ("local_addr", "peer_addr", "unix_path")},
        **{name: st.none() | _U16 for name in ("local_port", "peer_port")},
    }
)


def values_of(word: str) -> st.SearchStrategy[Any]:
    """Return what a column of type *word* may hold."""
    kind, _, rest = word.partition(":")
    match kind:
        case "enum":
            return st.sampled_from(ENUMS[rest])
        case "fixed":
            return st.binary(min_size=int(rest), max_size=int(rest))
        case "list":
            return st.lists(values_of(rest), max_size=3)
        case "map":
            return st.dictionaries(_TEXT, _TEXT, max_size=3).map(lambda pairs: [*pairs.items()])
        case "ports":
            return st.lists(_PORT, max_size=2)
        case "peers":
            return st.lists(_PEER, max_size=2)
        case "str" | "bytes" | "bool":
            return {"str": _TEXT, "bytes": _RAW, "bool": st.booleans()}[kind]
        case "i32":
            return st.integers(-(2**31), 2**31 - 1)
        case "ts":
            return st.integers(0, 2**63 - 1)
    return st.integers(0, 2 ** _BITS[kind] - 1)


def column_values(column: Column) -> st.SearchStrategy[Any]:
    values = values_of(column.word)
    return st.none() | values if column.is_nullable else values


def rows_of(table: Table) -> st.SearchStrategy[list[dict[str, Any]]]:
    row = st.fixed_dictionaries({column.name: column_values(column) for column in table.columns})
    return st.lists(row, max_size=4)


def columns_of(table: Table, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns = {column.name: [row[column.name] for row in rows] for column in table.columns}
    for column in table.columns:
        if column.word == "map":
            pairs_of = columns[column.name]
            columns[column.name] = [None if pairs is None else dict(pairs) for pairs in pairs_of]
    return columns


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows with times as the numbers that they are, to the nanosecond."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(index, field.name, table.column(index).cast(pa.int64()))
    return table.to_pylist()


def standing(table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *rows* without those that a later one of the same key replaces."""
    if len(table.key) != 1:
        return rows
    key = table.key[0]
    last = {row[key]: number for number, row in enumerate(rows)}
    return [row for number, row in enumerate(rows) if last[row[key]] == number]


def recorded(directory: Path, table: Table, windows: list[list[dict[str, Any]]]) -> Journal:
    journal = Journal.create(directory, make_manifest())
    for rows in windows:
        journal.append(table.name, columns_of(table, rows))
        journal.flush()
    return journal


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_rows_in_are_rows_out(table):
    @given(st.lists(rows_of(table), max_size=3))
    def check(windows: list[list[dict[str, Any]]]) -> None:
        wanted = standing(table, [row for rows in windows for row in rows])
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "rec")
            journal = recorded(path, table, windows)
            running = Recording.open(path).table(table.name)
            assert running.schema.equals(table.arrow_schema(), check_metadata=True)
            assert plain(running) == wanted
            journal.close()
            recording = Recording.open(path)
            recording.verify()
            assert plain(recording.table(table.name)) == wanted

    check()


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_cut_journal_gives_a_beginning_of_its_rows(table):
    @given(st.lists(rows_of(table), min_size=1, max_size=3), st.floats(0, 1))
    def check(windows: list[list[dict[str, Any]]], part: float) -> None:
        rows = [row for window in windows for row in window]
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "rec")
            recorded(path, table, windows).abandon()
            for stream in (path / "journal").iterdir():
                data = stream.read_bytes()
                stream.write_bytes(data[: int(len(data) * part)])
            read = plain(Recording.open(path).table(table.name))
            beginnings = [standing(table, rows[:end]) for end in range(len(rows) + 1)]
            assert read in beginnings
            compact(path)
            assert plain(Recording.open(path).table(table.name)) == read

    check()


@given(
    rows_of(SUMMARY),
    st.text(string.ascii_lowercase, min_size=1, max_size=8),
)
def test_a_summary_is_read_as_it_was_written(rows, name):
    table = pa.Table.from_batches([batch_of(SUMMARY, columns_of(SUMMARY, rows))])
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, f"{name}.summary.parquet")
        write_summary(table, path)
        assert read_summary(path).equals(table)
        first = path.read_bytes()
        write_summary(read_summary(path), path, force=True)
        assert path.read_bytes() == first
