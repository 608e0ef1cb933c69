"""How unlike the nearest fitted windows a window's sequences are."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse as sp
from sklearn.utils._param_validation import Interval

from learner.detectors.base import CONTAMINATION, LooksAt
from learner.detectors.grams import (
    GramDetector,
    as_sparse,
    like,
    rarity,
    row_sums,
    scaled_rows,
)

__all__ = ["GramNeighbours"]

_BLOCK = 64  # rows compared at once, as dense ones
_TINY = 1e-12
# Not an attribute: estimators are saved by their attributes, and scoring leaves them as they are.
_MADE: WeakKeyDictionary[GramNeighbours, tuple[np.ndarray, sp.csr_array]] = WeakKeyDictionary()


class GramNeighbours(GramDetector):
    """The mean cosine distance to the *neighbours* nearest of the fitted windows.

    Sequences are cut to their last *length* calls, counted by logarithm, and weigh the more the
    fewer windows have them. Of more than *most* fitted windows, evenly chosen ones are kept.
    *contamination* is the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "gram-neighbours"
    looks_at: ClassVar[LooksAt] = "grams"
    summary: ClassVar[str] = "sequences of three calls in other company than in any known window"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "neighbours": [Interval(Integral, 1, None, closed="left")],
        "length": [Interval(Integral, 1, 6, closed="both")],
        "most": [Interval(Integral, 2, None, closed="left")],
        "contamination": [CONTAMINATION],
    }

    def __init__(
        self,
        *,
        neighbours: int = 3,
        length: int = 3,
        most: int = 1024,
        contamination: float = 0.05,
    ) -> None:
        self.neighbours = neighbours
        self.length = length
        self.most = most
        self.contamination = contamination

    def _learn(self, rows: Any) -> None:
        matrix = as_sparse(rows)
        self.ends_ = _ends(self._grams, matrix.shape[1], self.length)
        counts = self._cut(matrix)
        seen, _ = rarity(counts)
        self.weights_ = np.log((1.0 + counts.shape[0]) / (1.0 + seen)) + 1.0
        unit = _unit(counts, self.weights_)
        size = min(unit.shape[0], self.most)
        kept = np.unique(np.linspace(0, unit.shape[0] - 1, size).astype(np.int64))
        unit = unit[kept]
        self.data_, self.indices_, self.starts_ = unit.data, unit.indices, unit.indptr

    def _scores(self, rows: Any) -> np.ndarray:
        matrix = as_sparse(rows)
        return self._scores_of(_unit(self._cut(matrix), self.weights_))

    def score_columns(self, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the scores of windows whose sequences count in *columns*, once each."""
        width, sizes = len(self.weights_), np.diff(starts)
        rows = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        keys, counts = np.unique(rows * width + self.ends_[columns], return_counts=True)
        row, column = np.divmod(keys, width)
        values = np.log1p(counts) * self.weights_[column]
        values /= np.sqrt(np.bincount(row, values * values, minlength=len(sizes)))[row]
        fresh = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(sizes)))])
        return self._scores_of(sp.csr_array((values, column, fresh), shape=(len(sizes), width)))

    def _scores_of(self, unit: sp.csr_array) -> np.ndarray:
        scores = np.empty(unit.shape[0])
        for first, _, near in self._nearest(unit):
            scores[first : first + len(near)] = near.mean(axis=1) - 1.0
        scores[np.diff(unit.indptr) == 0] = 0.0
        return scores

    def _shares(self, rows: Any) -> Any:
        matrix = as_sparse(rows)
        counts = self._cut(matrix)
        unit = _unit(counts, self.weights_)
        fitted = self._fitted()
        near = [sp.csr_array((0, unit.shape[1]))]
        for _, chosen, _ in self._nearest(unit):
            size, wide = chosen.shape
            starts = np.arange(size + 1) * wide
            pick = sp.csr_array(
                (np.full(size * wide, 1.0 / wide), chosen.ravel(), starts),
                shape=(size, fitted.shape[0]),
            )
            near.append(pick @ fitted)
        where = _keys(unit)
        alike = _values_at(sp.csr_array(sp.vstack(near, format="csr")), where)
        # One minus the cosine, of which each end has its part: a unit row's squares add up to 1.
        each = unit.data * (unit.data - alike) / counts.data
        result = matrix.copy()
        mine = _keys(matrix, self.ends_, unit.shape[1])
        result.data = matrix.data * each[np.searchsorted(where, mine)]
        return like(rows, result)

    def _nearest(self, unit: sp.csr_array) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield of each block of rows its start, the nearest fitted rows, and their cosines."""
        fitted = self._fitted()
        wide = min(self.neighbours, fitted.shape[0])
        for first in range(0, unit.shape[0], _BLOCK):
            dense = unit if unit.shape[0] <= _BLOCK else unit[first : first + _BLOCK]
            alike = np.asarray(fitted @ dense.toarray().T).T
            chosen = np.argpartition(-alike, wide - 1, axis=1)[:, :wide]
            yield first, chosen, np.take_along_axis(alike, chosen, axis=1)

    def _cut(self, matrix: sp.csr_array) -> sp.csr_array:
        """Return *matrix* with a column for each end, in which its sequences are summed."""
        width = len(self.ends_)
        ones = (np.ones(width), self.ends_, np.arange(width + 1))
        cut = sp.csr_array(matrix @ sp.csr_array(ones, shape=(width, int(self.ends_.max()) + 1)))
        cut.sort_indices()
        return cut

    def _fitted(self) -> sp.csr_array:
        """Return the fitted windows as a matrix, which costs more to make than to multiply once."""
        made = _MADE.get(self)
        if made is None or made[0] is not self.data_:
            shape = (len(self.starts_) - 1, len(self.weights_))
            matrix = sp.csr_array((self.data_, self.indices_, self.starts_), shape=shape)
            made = _MADE[self] = (self.data_, matrix)
        return made[1]


def _ends(grams: np.ndarray | None, width: int, length: int) -> np.ndarray:
    """Return which columns end in the same *length* calls, as a number for each column."""
    if grams is None:
        return np.arange(width)
    _, ends = np.unique(grams[:, grams.shape[1] - length :], axis=0, return_inverse=True)
    result: np.ndarray = ends.ravel()
    return result


def _unit(counts: sp.csr_array, weights: np.ndarray) -> sp.csr_array:
    result = counts.copy()
    result.data = np.log1p(counts.data) * weights[counts.indices]
    length = np.sqrt(row_sums(result.multiply(result).tocsr()))
    return scaled_rows(result, 1.0 / np.maximum(length, _TINY))


def _keys(
    matrix: sp.csr_array, ends: np.ndarray | None = None, width: int | None = None
) -> np.ndarray:
    """Return a number for the place of each value of *matrix*: its row, then its column's end."""
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    column = matrix.indices if ends is None else ends[matrix.indices]
    keys: np.ndarray = row * (width or matrix.shape[1]) + column
    return keys


def _values_at(matrix: sp.csr_array, keys: np.ndarray) -> np.ndarray:
    """Return the values of *matrix* at the sorted *keys*, zero where it has none."""
    matrix.sum_duplicates()
    mine = _keys(matrix)
    if not len(mine):
        return np.zeros(len(keys))
    place = np.minimum(np.searchsorted(mine, keys), len(mine) - 1)
    return np.where(mine[place] == keys, matrix.data[place], 0.0)
