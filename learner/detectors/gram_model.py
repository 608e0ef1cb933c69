"""What each call tells after the five before it: a language model of order six.

Its counts are windows that showed a sequence, since sequences are recorded as sets. Shorter
sequences are sums of longer ones, so sets of six calls are all that it needs.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from learner.detectors.base import LooksAt
from learner.detectors.grams import WeighedGrams, as_sparse, row_sums

__all__ = ["GramModel"]

_ORDER = 6


class GramModel(WeighedGrams):
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
        self.most_ = np.zeros(len(counts))
        if self._grams is None:
            self.weights_ = _surprises_of_columns(counts)
        else:
            self.weights_ = _surprises(self._grams, counts)


def _surprises_of_columns(counts: np.ndarray) -> np.ndarray:
    """Return the surprise of each column where each is a call that follows nothing."""
    kinds = max(float((counts > 0).sum()), 1.0)
    surprises: np.ndarray = -np.log((counts + kinds / len(counts)) / (counts.sum() + kinds))
    return surprises


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
