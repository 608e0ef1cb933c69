"""Numbers rows by what they have in common, and counts them: in how many windows, how often, when.

Rows are many and what they show is little. So rows are numbered once, column by column, and
whatever is slow is asked once a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Counts", "Numbers", "are_among", "counted", "numbered", "whole"]

Column: TypeAlias = "pa.Array | pa.ChunkedArray | np.ndarray"
_MOST = 1 << 62
_MOST_CELLS = 1 << 26
_SPARE = 1 << 16  # integers whose range is at most so much wider than rows are many stay themselves


@dataclass(frozen=True, slots=True)
class Numbers:
    """The number of each row, from 0 in the order of their first rows, and where those stand."""

    of_rows: np.ndarray
    first_rows: np.ndarray

    def __len__(self) -> int:
        return len(self.first_rows)


@dataclass(frozen=True, slots=True)
class Counts:
    """By number: in how many windows, how often, from when to when in nanoseconds."""

    windows: np.ndarray
    calls: np.ndarray
    first: np.ndarray
    last: np.ndarray


def numbered(columns: Iterable[Column], rows: int) -> Numbers:
    """Number *rows* rows: two have one number where all *columns* have the same, or null."""
    codes, total = np.zeros(rows, np.int64), 1
    for column in columns:
        own, size = _codes(column)
        if total * size >= _MOST:
            codes, total = _dense(codes)
        if size > 1:
            codes *= size
            codes += own
            total *= size
    numbers, count = _dense(codes)
    first_rows = np.empty(count, np.int64)
    first_rows[numbers[::-1]] = np.arange(rows - 1, -1, -1)
    return Numbers(numbers, first_rows)


def counted(
    numbers: np.ndarray,
    count: int,
    *,
    window: np.ndarray,
    calls: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
) -> Counts:
    """Return what the rows of each of *count* numbers say together; without rows, in no window."""
    found = Counts(
        windows=_windows(numbers, count, window),
        calls=np.zeros(count, np.uint64),
        first=np.full(count, np.iinfo(np.int64).max),
        last=np.full(count, np.iinfo(np.int64).min),
    )
    np.add.at(found.calls, numbers, calls)
    np.minimum.at(found.first, numbers, first)
    np.maximum.at(found.last, numbers, last)
    return found


def _windows(numbers: np.ndarray, count: int, window: np.ndarray) -> np.ndarray:
    """Return in how many windows each number has a row."""
    import pandas as pd  # noqa: PLC0415  a watch counts nothing, and goes without

    position, distinct = pd.factorize(window)
    span = len(distinct)
    if count * span <= _MOST_CELLS:
        cells = np.zeros(count * span, bool)
        cells[numbers * span + position] = True
        sums: np.ndarray = cells.reshape(count, span).sum(axis=1, dtype=np.uint32)
        return sums
    pairs = pd.unique(numbers * span + position)
    return np.bincount(pairs // span, minlength=count).astype(np.uint32)


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return *column* as one array, under one dictionary where it has any."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _dense(codes: np.ndarray) -> tuple[np.ndarray, int]:
    import pandas as pd  # noqa: PLC0415  a watch counts nothing, and goes without

    numbers, distinct = pd.factorize(codes)
    return numbers.astype(np.int64, copy=False), len(distinct)


def _codes(column: Column) -> tuple[np.ndarray, int]:
    """Return a number for each row that is equal where the values are, and how many there are."""
    if isinstance(column, np.ndarray):
        return _ranged(column, np.zeros(0, np.int64))
    array = whole(column)
    kind = array.type
    if pa.types.is_boolean(kind):
        array, kind = array.cast(pa.uint8()), pa.uint8()
    is_small = pa.types.is_integer(kind) and not pa.types.is_uint64(kind)
    if is_small and not array.null_count:
        return _ranged(array.to_numpy(), np.zeros(0, np.int64))
    if is_small:
        missing = np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False))
        return _ranged(pc.fill_null(array, 0).to_numpy(), missing)
    if pa.types.is_dictionary(kind):
        # Of a dictionary nobody promised that each word stands in it once.
        encoded = array.dictionary.dictionary_encode()
        indices = encoded.indices.take(array.indices)
    else:
        encoded = array.dictionary_encode()
        indices = encoded.indices
    size = len(encoded.dictionary)
    return pc.fill_null(indices, size).to_numpy().astype(np.int64), size + 1


def are_among(numbers: np.ndarray, known: Iterable[int]) -> np.ndarray:
    """Return which of *numbers*, none below zero, are *known*."""
    known = np.fromiter(known, np.int64)
    size = int(known.max()) + 2 if len(known) else 1
    if size > _MOST_CELLS:
        return np.isin(numbers, known)
    table = np.zeros(size, bool)
    table[known] = True
    found: np.ndarray = table[np.minimum(numbers, size - 1)]
    return found


def _ranged(values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, int]:
    """Return *values* counted from their least, those at *missing* as one more."""
    if not len(values):
        return values.astype(np.int64), 1
    low = int(values.min())
    size = int(values.max()) - low + 1
    if size > 4 * len(values) + _SPARE:
        codes, size = _dense(values)
    else:
        codes = values.astype(np.int64) - low
    if len(missing):
        codes = codes.copy()
        codes[missing] = size
        size += 1
    return codes, size
