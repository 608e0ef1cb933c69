"""A set of (instance, what, window) cells with bits, asked for millions of rows at once."""

from __future__ import annotations

from typing import Self

import numpy as np

__all__ = ["Cells"]

_Cell = tuple[int, int, int]


class Cells:
    """Cells are few, rows are many: a lookup costs a sorted search for each row."""

    def __init__(self, cells: dict[_Cell, int] | None = None) -> None:
        self._cells = dict(cells or {})

    def add(self, instance: int, what: int, window: int, bits: int) -> None:
        """Add *bits* to a cell; *what* is an executable, or whether it came from outside."""
        cell = (int(instance), int(what), int(window))
        self._cells[cell] = self._cells.get(cell, 0) | bits

    def copy(self) -> Self:
        return type(self)(self._cells)

    def bits(self, instance: np.ndarray, what: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Return the bits of each row's cell, 0 where there is none."""
        result = np.zeros(len(instance), np.uint64)
        if not self._cells:
            return result
        columns = np.array(sorted(self._cells), np.int64).T
        values = np.array([self._cells[cell] for cell in sorted(self._cells)], np.uint64)
        rows = [np.asarray(column).astype(np.int64) for column in (instance, what, window)]
        inside = np.ones(len(instance), bool)
        cell_code, row_code = np.zeros(len(values), np.int64), np.zeros(len(instance), np.int64)
        # Numbers become positions among those that occur, so that three of them fit one integer.
        for cells, wanted in zip(columns, rows, strict=True):
            known = np.unique(cells)
            position = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            inside &= known[position] == wanted
            cell_code = cell_code * len(known) + np.searchsorted(known, cells)
            row_code = row_code * len(known) + position
        index = np.minimum(np.searchsorted(cell_code, row_code), len(values) - 1)
        found = inside & (cell_code[index] == row_code)
        result[found] = values[index[found]]
        return result
