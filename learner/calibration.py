"""Scores of different detectors on one scale: how improbable they are among held-out ones.

A conformal p-value ends at 1/(n + 1): all that is stranger than each of *n* held-out scores looks
the same. So the tail goes on as a Pareto distribution through the strangest of them. It orders what
lies beyond; a promise rests on the thresholds, not on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["Calibration"]

_TAIL = 0.1  # of the held-out scores, and of many of them no more than their square root
_MOST_IN_TAIL = 20  # further in, scores are those of usual windows: they say nothing of the tail
_SHAPE = 0.25  # heavier than exponential: one detector does not outvote the others without end
_TINY = 1e-9

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Held-out scores from the strangest up, and the mean distance of their tail below *start*."""

    scores: Scores
    start: float
    excess: float

    @classmethod
    def of(cls, held_out: Scores) -> Self:
        """Return the calibration by *held_out*, at least one score, higher is more normal."""
        scores = np.sort(np.asarray(held_out, np.float64))
        size = max(int(min(len(scores) * _TAIL, len(scores) ** 0.5, _MOST_IN_TAIL)), 1)
        start = float(scores[min(size, len(scores) - 1)])
        spread = float(np.subtract(*np.quantile(scores, [0.75, 0.25])))
        excess = float(start - scores[:size].mean())
        return cls(scores, start, max(excess, spread / 10, _TINY))

    def strangeness(self, scores: Scores) -> Scores:
        """Return minus the decimal logarithm of the p-value of each of *scores*.

        Never below zero; the lower a score, the larger it is.
        """
        count = len(self.scores)
        rank = np.interp(scores, self.scores, np.arange(1, count + 1), left=1, right=count)
        size = int(np.searchsorted(self.scores, self.start, side="left"))
        beyond = np.maximum(self.start - scores, 0.0)
        tail = np.log10(1.0 + _SHAPE * beyond / (self.excess * (1.0 - _SHAPE))) / _SHAPE
        inside = -np.log10((rank + 1.0) / (count + 2.0))
        edge = -np.log10((size + 2.0) / (count + 2.0))
        result: Scores = np.where(
            beyond > 0, np.maximum(edge, 0.0) + tail, np.minimum(inside, edge)
        )
        return np.maximum(result, 0.0)
