"""A recording in pieces that can be read, and reduced, apart from each other.

A fragment is some row groups of one table, or whole files of it. What is counted a window needs
all rows of that window: two fragments of a table share at most a few windows, which they name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby

import pyarrow as pa
import pyarrow.parquet as pq

from ethogram.contracts.parquet_rows import parquet_metadata
from ethogram.contracts.recording import Part, Recording
from ethogram.contracts.tables import TABLES

__all__ = ["FRAGMENT_ROWS", "Fragment", "fragment_batches", "fragments_of"]

FRAGMENT_ROWS = 1 << 20
# Fragments that share more windows than this are one: their rows did not come in order.
_SHARED_WINDOWS = 64


@dataclass(frozen=True, slots=True)
class Fragment:
    """Rows of *table*: those of *pieces*, each a number of a file and row groups, or all of it.

    *shared* are the windows of which other fragments may have rows as well. With *is_part* there
    are others, and the digests of its files are not compared when it is read.
    """

    table: str
    pieces: tuple[tuple[int, tuple[int, ...] | None], ...]
    rows: int
    shared: tuple[int, ...] = ()
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    file: int
    groups: tuple[int, ...] | None
    rows: int
    windows: tuple[int, int]


def fragments_of(recording: Recording, table: str, *, rows: int = FRAGMENT_ROWS) -> list[Fragment]:
    """Return the fragments of *table*, of about *rows* rows each; together they are all of it.

    It is one where a row may replace another of the same key, and where nobody knows which windows
    a file has: in a journal, or by a writer that did not say.
    """
    parts = recording.parts(table)
    total = sum(part.listed.rows for part in parts if part.listed is not None)
    everything = [Fragment(table, tuple((index, None) for index in range(len(parts))), total)]
    if len(TABLES[table].key) == 1 or total <= rows or any(not part.listed for part in parts):
        return everything if parts else []
    pieces = [piece for number, part in enumerate(parts) for piece in _pieces(number, part, rows)]
    if any(piece.windows[0] > piece.windows[1] for piece in pieces):
        return everything
    pieces.sort(key=lambda piece: piece.windows)
    return _named_shared(table, _joined(pieces, rows))


def _pieces(number: int, part: Part, rows: int) -> Iterator[_Piece]:
    """Yield *part* whole where it is small and says which windows it has, else its row groups."""
    listed = part.listed
    assert listed is not None
    if listed.rows <= rows and listed.first_window is not None and listed.last_window is not None:
        yield _Piece(number, None, listed.rows, (listed.first_window, listed.last_window))
        return
    metadata = parquet_metadata(part.path)
    column = metadata.schema.to_arrow_schema().get_field_index("window")
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        yield _Piece(number, (index,), group.num_rows, _windows(group, column))


def _windows(group: pq.RowGroupMetaData, column: int) -> tuple[int, int]:
    """Return the first and last window of a row group, (1, 0) where it does not say."""
    # Columns of nested types come as several: by position only where nothing nested is before.
    if column < 0 or group.column(column).path_in_schema != "window":
        return (1, 0)
    statistics = group.column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return (1, 0)
    return (int(statistics.min), int(statistics.max))


def _joined(pieces: list[_Piece], rows: int) -> list[list[_Piece]]:
    """Return *pieces*, sorted by window, in runs of *rows* rows that share few windows."""
    runs: list[list[_Piece]] = []
    size = newest = 0
    for piece in pieces:
        overlap = newest - piece.windows[0] + 1
        if runs and (size + piece.rows <= rows or overlap > _SHARED_WINDOWS):
            runs[-1].append(piece)
            size += piece.rows
        else:
            runs.append([piece])
            size = piece.rows
        newest = max(newest, piece.windows[1])
    return runs


def _named_shared(table: str, runs: list[list[_Piece]]) -> list[Fragment]:
    spans = [
        (min(piece.windows[0] for piece in run), max(piece.windows[1] for piece in run))
        for run in runs
    ]
    shared: set[int] = set()
    newest = -1
    for first, last in spans:
        shared.update(range(first, min(newest, last) + 1))
        newest = max(newest, last)
    fragments = []
    for run, (first, last) in zip(runs, spans, strict=True):
        pieces = tuple(_by_file(run))
        own = tuple(sorted(window for window in shared if first <= window <= last))
        rows = sum(piece.rows for piece in run)
        fragments.append(Fragment(table, pieces, rows, own, is_part=True))
    return fragments


def _by_file(run: list[_Piece]) -> Iterator[tuple[int, tuple[int, ...] | None]]:
    """Yield each file of *run* once, with all of its row groups."""
    for file, pieces in groupby(run, key=lambda piece: piece.file):
        groups = [piece.groups for piece in pieces]
        known = [group for group in groups if group is not None]
        yield file, tuple(sorted(chain.from_iterable(known))) if len(known) == len(groups) else None


def fragment_batches(
    recording: Recording, fragment: Fragment, *, columns: frozenset[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *fragment*; see `Recording.batches`, and of *columns* `parquet_batches`."""
    if (
        all(groups is None for _, groups in fragment.pieces)
        and len(TABLES[fragment.table].key) == 1
    ):
        yield from recording.batches(fragment.table)
        return
    for file, groups in fragment.pieces:
        yield from recording.part_batches(fragment.table, file, groups=groups, columns=columns)
