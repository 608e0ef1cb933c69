"""What each call tells after the five before it: a language model of order six.

Its counts are windows that showed a sequence, since sequences are recorded as sets. Shorter
sequences are sums of longer ones, so sets of six calls are all that it needs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from learner.detectors.base import (
    GramDetector,
    LooksAt,
    as_sparse,
    like,
    row_sums,
    scaled_rows,
)

__all__ = ["GramModel"]

_ORDER = 6


class GramModel(GramDetector):
    """The mean surprise of a window's sequences, in natural units of information.

    Witten and Bell's interpolation: the fewer calls were seen to follow a context, the less is
    left for others. *contamination* is the share of the fitted windows that `predict` calls
    outliers.
    """

    name: ClassVar[str] = "gram-model"
    looks_at: ClassVar[LooksAt] = "grams"
    summary: ClassVar[str] = "calls that seldom follow the five before them"

    def _learn(self, rows: Any) -> None:
        counts = row_sums(as_sparse(rows).T.tocsr())
        if self._grams is None:
            total, kinds = counts.sum(), float((counts > 0).sum())
            self.surprises_ = -np.log((counts + kinds / len(counts)) / max(total + kinds, 1.0))
            self.surprises_ = np.where(np.isfinite(self.surprises_), self.surprises_, 0.0)
        else:
            self.surprises_ = _surprises(self._grams, counts)

    def _shares(self, rows: Any) -> Any:
        matrix = as_sparse(rows)
        result = sp.csr_array(matrix, copy=True)
        result.data = matrix.data * self.surprises_[matrix.indices]
        by = 1.0 / np.maximum(row_sums(matrix), 1.0)
        return like(rows, scaled_rows(result, by))


def _surprises(grams: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return how surprising the last call of each of *grams* is, where *counts* were seen.

    The rows of *grams* hold every end of every whole sequence. A shorter one stands for sequences
    whose longer ends are new: each step up that fails costs what leaving a context of that length
    costs in the mean.
    """
    lengths = (grams >= 0).sum(axis=1)
    whole, seen = grams[lengths == _ORDER], counts[lengths == _ORDER]
    calls = int((lengths == 1).sum()) + 1
    logs = np.full(len(grams), -np.log(calls))
    steps = np.zeros(_ORDER + 2)
    likely, shorter = np.full(1, 1.0 / calls), np.zeros(len(whole), np.int64)
    for length in range(1, _ORDER + 1):
        ends, place = np.unique(whole[:, _ORDER - length :], axis=0, return_inverse=True)
        place = place.ravel()
        lower = np.zeros(len(ends), np.int64)
        lower[place] = shorter
        often = np.bincount(place, seen, minlength=len(ends))
        likely, steps[length] = _interpolated(ends, often, likely[lower])
        mine = np.flatnonzero(lengths == length)
        order = np.lexsort(grams[mine, _ORDER - length :].T[::-1])
        logs[mine[order]] = np.log(likely)
        shorter = place
    above = steps[::-1].cumsum()[::-1]
    surprises: np.ndarray = above[lengths + 1] - logs
    return surprises


def _interpolated(
    ends: np.ndarray, often: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return how likely the last call of each of *ends* is, and what leaving a context costs."""
    contexts, place = np.unique(ends[:, :-1], axis=0, return_inverse=True)
    place = place.ravel() if ends.shape[1] > 1 else np.zeros(len(ends), np.int64)
    size = len(contexts) if ends.shape[1] > 1 else 1
    total = np.bincount(place, often, minlength=size)
    kinds = np.bincount(place, minlength=size).astype(np.float64)
    likely = (often + kinds[place] * lower) / (total + kinds)[place]
    left = -np.log(kinds / (total + kinds))
    return likely, float(np.average(left, weights=kinds))
