"""What detectors of sequences share: sparse rows, and sequences that weigh what they weigh."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp

from learner.detectors.base import Detector

__all__ = ["GramDetector", "WeighedGrams", "as_sparse", "like", "rarity", "row_sums", "scaled_rows"]

_LONGEST = 6


class GramDetector(Detector):
    """A detector of sequences, which may know which sequence each column stands for.

    `fit` takes their identities as `GramVocabulary.identities` returns them. Without them each
    column is a sequence of its own that was seen where the fitted rows have it.
    """

    takes_sparse: ClassVar[bool] = True

    def fit(self, X: Any, y: Any = None, *, grams: Any = None) -> Self:  # noqa: N803
        """Learn from the rows of *X*, whose columns are *grams*; *y* is not looked at."""
        self._grams = None if grams is None else np.asarray(grams, np.int32)
        try:
            return super().fit(X, y)
        finally:
            del self._grams

    def score_columns(self, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the scores of windows whose sequences count in *columns*, once each.

        Those of window *i* are `columns[starts[i]:starts[i + 1]]`. Nothing is checked: it is for
        the watcher, which scores a window of each workload again and again.
        """
        raise NotImplementedError

    def _lengths(self, rows: sp.csr_array) -> np.ndarray:
        """Return how many calls of a sequence each column knows: 6 where nobody says."""
        if self._grams is None:
            seen = np.bincount(rows.indices, minlength=rows.shape[1]) > 0
            return np.where(seen, float(_LONGEST), 0.0)
        lengths: np.ndarray = (self._grams >= 0).sum(axis=1).astype(np.float64)
        return lengths


class WeighedGrams(GramDetector):
    """A detector that adds up what the sequences of a window weigh.

    A subclass learns `weights_`, and in `most_` the largest count of each column: a lower one
    weighs less. Where that is zero, each counts. The sum is divided by the number of sequences to
    the power of *divisor*.
    """

    divisor: ClassVar[float] = 1.0

    def _shares(self, rows: Any) -> Any:
        matrix = as_sparse(rows)
        result = matrix.copy()
        top = self.most_[matrix.indices]
        known = np.minimum(matrix.data / np.where(top > 0, top, 1.0), 1.0)
        result.data = np.where(top > 0, known, matrix.data) * self.weights_[matrix.indices]
        by = np.maximum(row_sums(matrix), 1.0) ** -self.divisor
        return like(rows, scaled_rows(result, by))

    def score_columns(self, starts: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the scores of windows whose sequences count in *columns*, once each."""
        sizes = np.diff(starts)
        rows = np.repeat(np.arange(len(sizes)), sizes)
        total = np.bincount(rows, self.weights_[columns], minlength=len(sizes))
        scores: np.ndarray = -total / np.maximum(sizes, 1.0) ** self.divisor
        return scores


def as_sparse(rows: Any) -> sp.csr_array:
    """Return *rows* as CSR without explicit zeros, and without what is below zero.

    Counts are never below zero.
    """
    matrix = sp.csr_array(rows, copy=True)
    matrix.data = np.maximum(matrix.data, 0.0)
    matrix.eliminate_zeros()
    return matrix


def like(rows: Any, shares: sp.csr_array) -> Any:
    """Return *shares* dense where *rows* are."""
    return shares if sp.issparse(rows) else shares.toarray()


def rarity(rows: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return of each column in how many *rows* it is, and its largest value."""
    seen = np.bincount(rows.indices, minlength=rows.shape[1]).astype(np.float64)
    most = np.asarray(rows.max(axis=0).todense(), np.float64).ravel()
    return seen, most


def scaled_rows(rows: sp.csr_array, by: np.ndarray) -> sp.csr_array:
    """Return *rows* with each multiplied by its number in *by*."""
    result = rows.copy()
    result.data = rows.data * np.repeat(by, np.diff(rows.indptr))
    return result


def row_sums(rows: sp.csr_array) -> np.ndarray:
    """Return what each of *rows* adds up to."""
    return np.asarray(rows.sum(axis=1), np.float64).ravel()
