"""The tables of recordings as relations of DuckDB, which read what they are asked for alone.

Parquet here is read by DuckDB itself, once its digest was compared and its footer looked at: it
takes the columns and row groups that a query needs. What is in a journal or below a URL comes
through our own reader, a batch at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from detector.hunting.types import quoted, sql_type
from ethogram.contracts.parquet_rows import DAMAGED, parquet_metadata
from ethogram.contracts.recording import Part, Recording
from ethogram.contracts.remote import RemoteFile
from ethogram.contracts.tables import Table
from ethogram.errors import EthogramError, RecordingError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Source", "empty_relation", "relation_of"]

# Rows of one table are in order by part and row: of two with one key the later one stands.
_PART_ROWS = 1 << 40
_PATTERN = re.compile(r"[*?\[\]{}]")


@dataclass(frozen=True, slots=True)
class Source:
    """One recording; *number* is its `recording` in every table."""

    number: int
    place: str
    recording: Recording

    def local_files(self, table: str) -> list[str]:
        """Return the Parquet files of *table* that DuckDB itself may read."""
        return [
            _resolved(part)
            for part in self.recording.parts(table)
            if part.listed is not None and _is_plain(part.path)
        ]


class Rows:
    """Parts of a table that our own reader reads, anew for each scan.

    A failure is kept, because what passes through Arrow loses its kind.
    """

    def __init__(self, source: Source, table: Table, numbers: Sequence[int]) -> None:
        self._source, self._table, self._numbers = source, table, tuple(numbers)
        self.schema = pa.schema([*table.arrow_schema(), pa.field("ordinal", pa.int64())])
        self.failure: EthogramError | None = None

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for number in self._numbers:
                row = number * _PART_ROWS
                for batch in self._source.recording.part_batches(self._table.name, number):
                    ordinal = pa.array(range(row, row + batch.num_rows), pa.int64())
                    row += batch.num_rows
                    yield pa.RecordBatch.from_arrays([*batch.columns, ordinal], schema=self.schema)
        except EthogramError as error:
            self.failure = error
            raise

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)


def relation_of(
    connection: DuckDBPyConnection, sources: Sequence[Source], table: Table, streams: list[Rows]
) -> str:
    """Return a SELECT of *table* over all *sources*, with `recording` before its columns.

    What it streams is put into *streams*. Of a table that one column identifies the last row of a
    key stands.
    """
    selects = [
        select for source in sources for select in _selects(connection, source, table, streams)
    ]
    if not selects:
        return empty_relation(table)
    every = " UNION ALL ".join(selects)
    columns = ", ".join(["recording", *(quoted(column.name) for column in table.columns)])
    if len(table.key) != 1:
        return f"SELECT {columns} FROM ({every})"
    key = quoted(table.key[0])
    return (
        f"WITH every AS NOT MATERIALIZED ({every}) SELECT {columns} FROM every SEMI JOIN"
        f" (SELECT recording, max(ordinal) AS ordinal FROM every GROUP BY recording, {key})"
        " USING (recording, ordinal)"
    )


def empty_relation(table: Table) -> str:
    """Return a SELECT of no rows of *table*."""
    columns = (f"NULL::{sql_type(one.word)} AS {quoted(one.name)}" for one in table.columns)
    return f"SELECT {', '.join(['0::USMALLINT AS recording', *columns])} WHERE false"


def _selects(
    connection: DuckDBPyConnection, source: Source, table: Table, streams: list[Rows]
) -> Iterator[str]:
    """Yield the SELECT of each group of parts that have the same columns."""
    groups: dict[frozenset[str], list[int]] = {}
    streamed: list[int] = []
    for number, part in enumerate(source.recording.parts(table.name)):
        if part.listed is None or not _is_plain(part.path):
            streamed.append(number)
            continue
        source.recording.verify_part(table.name, number)
        present = _columns_of(table, part.path, part.listed.rows)
        groups.setdefault(present, []).append(number)
    parts = source.recording.parts(table.name)
    for present, numbers in groups.items():
        files = ", ".join(_literal(_resolved(parts[one])) for one in numbers)
        places = ", ".join(map(str, numbers))
        ordinal = f"([{places}])[(file_index + 1)::BIGINT]::BIGINT * {_PART_ROWS} + file_row_number"
        yield _select(source, table, present, ordinal, f"read_parquet([{files}])")
    if streamed:
        rows = Rows(source, table, streamed)
        name = f"stream_{len(streams)}"
        streams.append(rows)
        connection.register(name, rows)
        every = frozenset(column.name for column in table.columns)
        yield _select(source, table, every, "ordinal", name)


def _select(
    source: Source, table: Table, present: frozenset[str], ordinal: str, relation: str
) -> str:
    columns = (
        f"{quoted(column.name) if column.name in present else 'NULL'}::{sql_type(column.word)}"
        f" AS {quoted(column.name)}"
        for column in table.columns
    )
    chosen = ", ".join(
        [f"{source.number}::USMALLINT AS recording", *columns, f"({ordinal})::BIGINT AS ordinal"]
    )
    return f"SELECT {chosen} FROM {relation}"


def _resolved(part: Part) -> str:
    assert isinstance(part.path, Path)
    return str(part.path.resolve())


def _is_plain(path: Path | RemoteFile) -> bool:
    """Say whether DuckDB itself may read *path*: to it some characters make a name a pattern."""
    return isinstance(path, Path) and not _PATTERN.search(str(path.resolve()))


def _columns_of(table: Table, path: Path | RemoteFile, rows: int) -> frozenset[str]:
    """Return which columns of *table* file *path* has, once that is what it should be."""
    metadata = parquet_metadata(path)
    if metadata.num_rows != rows:
        raise RecordingError(
            f"`{path}` has {metadata.num_rows} rows, the manifest says {rows}", hint=DAMAGED
        )
    present = frozenset(metadata.schema.to_arrow_schema().names)
    for column in table.columns:
        if column.name not in present and not column.is_nullable:
            raise RecordingError(
                f"`{path}` is no table `{table.name}`: it lacks column `{column.name}`",
                hint=DAMAGED,
            )
    return present


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
