"""Sequences of six calls as rows of numbers: which of them are known, and how much of the others.

A detector looks at columns, but a sequence that was never seen has none. So it counts in the
column of the longest part of it that is known: the last five of its calls, the last four, down to
the call alone, and at last in a column for calls that nobody made. Importing this loads scipy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

__all__ = [
    "ABSENT",
    "MAP_BITS",
    "ORDER",
    "GramVocabulary",
    "GramWindows",
    "distinct",
    "hashed",
    "map_of",
]

ORDER = 6
MAP_BITS = 16
# In the identity of a column: no call stands here, the part is shorter. No call has this number.
ABSENT = -1
_START = 0xFFFF
# A part of k calls is a number of k digits; six digits of this base fit in 64 bits.
_MOST_CALLS = 1624

Symbols = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GramWindows:
    """The sets of sequences of windows: *ids* of those of window *i* are `starts[i]:starts[i + 1]`.

    An id is a row of *table*, which has six columns, oldest call first. A sequence stands once in
    a window. The table may hold more: what is known of windows that are not here.
    """

    starts: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    table: Symbols

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def symbols(self) -> Symbols:
        """The calls of each sequence of each window."""
        calls: Symbols = self.table[self.ids]
        return calls

    def compact(self) -> GramWindows:
        """Return the same windows, with nothing in the table that none of them has."""
        is_used = np.zeros(len(self.table), np.bool_)
        is_used[self.ids] = True
        place = np.cumsum(is_used) - 1
        return GramWindows(self.starts, place[self.ids], self.table[is_used])

    def take(self, rows: npt.NDArray[np.int64]) -> GramWindows:
        """Return the windows *rows*, in that order."""
        sizes = np.diff(self.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        index = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], sizes)
        return GramWindows(starts, self.ids[index], self.table)

    @classmethod
    def of_calls(cls, traces: Sequence[npt.NDArray[np.integer[Any]]]) -> GramWindows:
        """Return a window for each of *traces*, which are numbers of calls in their order.

        The first calls of a trace have the start before them, as in table `ngrams`.
        """
        parts = [_sliding(np.asarray(trace, np.int32)) for trace in traces]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        whole = np.concatenate(parts) if parts else np.empty((0, ORDER), np.int32)
        table, ids = distinct(whole)
        return cls(starts.astype(np.int64), ids, table)


def _sliding(trace: Symbols) -> Symbols:
    """Return the distinct sequences of *trace*."""
    if not len(trace):
        return np.empty((0, ORDER), np.int32)
    padded = np.concatenate([np.full(ORDER - 1, _START, np.int32), trace])
    return distinct(np.lib.stride_tricks.sliding_window_view(padded, ORDER))[0]


def distinct(symbols: Symbols) -> tuple[Symbols, npt.NDArray[np.int64]]:
    """Return the distinct rows of *symbols*, sorted, and which of them each row is."""
    calls, place = np.unique(symbols, return_inverse=True)
    if len(calls) > _MOST_CALLS:
        table, ids = np.unique(symbols, axis=0, return_inverse=True)
        return table.astype(np.int32), ids.ravel().astype(np.int64)
    size = np.uint64(max(len(calls), 1))
    weights = size ** np.arange(ORDER, dtype=np.uint64)[::-1]
    numbers = place.reshape(symbols.shape).astype(np.uint64) @ weights
    found, ids = np.unique(numbers, return_inverse=True)
    table = calls[(found[:, None] // weights % size).astype(np.int64)]
    return table.astype(np.int32).reshape(-1, ORDER), ids.ravel().astype(np.int64)


@dataclass(frozen=True, slots=True)
class GramVocabulary:
    """What is known: the calls, and for each length the parts of that length as sorted numbers."""

    calls: Symbols
    parts: tuple[npt.NDArray[np.uint64], ...]

    @classmethod
    def of(cls, windows: GramWindows) -> GramVocabulary:
        """Return what the table of *windows* holds.

        Of more than 1,624 different calls, which no kernel has, the most frequent are known.
        """
        table = windows.table
        calls, counts = np.unique(table, return_counts=True)
        if len(calls) > _MOST_CALLS:
            calls = np.sort(calls[np.lexsort((calls, -counts))[:_MOST_CALLS]])
        calls = calls.astype(np.int32)
        parts = []
        is_known = np.ones(len(table), np.bool_)
        for back, numbers in enumerate(_numbers(calls, table)):
            is_known &= np.isin(table[:, ORDER - 1 - back], calls)
            parts.append(np.unique(numbers[is_known]))
        return cls(calls, tuple(parts))

    @property
    def columns(self) -> int:
        """How many columns `encode` makes: calls nobody made, then parts from short to long."""
        return 1 + sum(map(len, self.parts))

    def encode(self, windows: GramWindows) -> sp.csr_array:
        """Return a row for each window: how many of its sequences have that longest known part."""
        return _matrix(windows, self.columns_of(windows), self.columns)

    def columns_of(self, windows: GramWindows) -> npt.NDArray[np.int64]:
        """Return the column in which each sequence of *windows* counts."""
        if len(windows.ids) < len(windows.table):  # few windows of many: not the whole table
            return self._columns_of(windows.symbols)
        return self._columns_of(windows.table)[windows.ids]

    def _columns_of(self, symbols: Symbols) -> npt.NDArray[np.int64]:
        column = np.zeros(len(symbols), np.int64)
        first = 1
        for known, wanted in zip(self.parts, _numbers(self.calls, symbols), strict=True):
            if len(known):
                place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
                column = np.where(known[place] == wanted, first + place, column)
            first += len(known)
        return column

    def identities(self) -> Symbols:
        """Return the calls of each column: the last of a sequence, `ABSENT` before them."""
        result = np.full((self.columns, ORDER), ABSENT, np.int32)
        base, first = np.uint64(len(self.calls) + 1), 1
        for length, numbers in enumerate(self.parts, start=1):
            rest = numbers.copy()
            rows = slice(first, first + len(numbers))
            for back in range(length):
                digit = (rest % base).astype(np.int64)
                result[rows, ORDER - 1 - back] = self.calls[digit - 1]
                rest //= base
            first += len(numbers)
        return result


def _numbers(calls: Symbols, symbols: Symbols) -> list[npt.NDArray[np.uint64]]:
    """Return the last one, two, ... six calls of *symbols* as numbers.

    An unknown call has digit 0: such a part is equal to no known one.
    """
    base = np.uint64(len(calls) + 1)
    digits = np.zeros(symbols.shape, np.uint64)
    if len(calls):
        place = np.minimum(np.searchsorted(calls, symbols), len(calls) - 1)
        digits = np.where(calls[place] == symbols, place + 1, 0).astype(np.uint64)
    numbers, weight = [], np.uint64(1)
    total = np.zeros(len(symbols), np.uint64)
    for back in range(ORDER):
        total = total + digits[:, ORDER - 1 - back] * weight
        numbers.append(total)
        if back < ORDER - 1:
            weight *= base
    return numbers


def hashed(windows: GramWindows, *, bits: int = MAP_BITS) -> sp.csr_array:
    """Return a row for each window over the slots of a map: each sequence counts in two of them.

    A sequence is taken for known where both its slots are.
    """
    slots = _slots(windows.table, bits)
    one, two = (_matrix(windows, each[windows.ids], 1 << bits) for each in slots)
    return sp.csr_array(one + two)


def map_of(table: Symbols) -> bytes:
    """Return the map in which both slots of each sequence of *table* are set, as the kernel has it.

    Slot *n* is bit `n % 8` of byte `n // 8`.
    """
    is_set = np.zeros(1 << MAP_BITS, np.uint8)
    for each in _slots(table, MAP_BITS):
        is_set[each] = 1
    return np.packbits(is_set, bitorder="little").tobytes()


def _slots(table: Symbols, bits: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the two slots of each sequence of *table*.

    They are parts of one 64-bit hash, six multiplications and a mix of their result, as
    bpf/gram_hash.h computes it.
    """
    value = np.full(len(table), 0xCBF29CE484222325, np.uint64)
    for position in range(ORDER):
        value ^= table[:, position].astype(np.uint64)
        value *= np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(32)
    value *= np.uint64(0xFF51AFD7ED558CCD)  # MurmurHash3's: the low bits reach the high ones
    value ^= value >> np.uint64(33)
    mask = np.uint64((1 << bits) - 1)
    return (value & mask).astype(np.int64), ((value >> np.uint64(32)) & mask).astype(np.int64)


def _matrix(windows: GramWindows, column: npt.NDArray[np.int64], width: int) -> sp.csr_array:
    # A copy of the starts: summing duplicates changes what the matrix was made of.
    matrix = sp.csr_array(
        (np.ones(len(column)), column, windows.starts.copy()), shape=(len(windows), width)
    )
    matrix.sum_duplicates()
    return matrix
