"""Windows unlike any fitted one."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from learner.detectors.base import CONTAMINATION, Detector, LooksAt
from learner.detectors.residual import logarithm

__all__ = ["Neighbours"]

# In logarithms: what never changed counts a change by a third as one.
_SMALLEST_SCALE = 0.3
_TINY = 1e-12
_CHUNK = 1024  # rows whose distances are held at once


class Neighbours(Detector):
    """The root of the mean squared distance to the nearest fitted windows, in scaled logarithms.

    *neighbours* is how many are looked at, *most* how many fitted windows are kept, evenly over
    time. *contamination* is the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "neighbours"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "windows unlike any fitted one"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "neighbours": [Interval(Integral, 1, None, closed="left")],
        "most": [Interval(Integral, 1, None, closed="left")],
        "contamination": [CONTAMINATION],
    }

    def __init__(
        self, *, neighbours: int = 5, most: int = 2048, contamination: float = 0.05
    ) -> None:
        self.neighbours = neighbours
        self.most = most
        self.contamination = contamination

    def _learn(self, rows: np.ndarray) -> None:
        logs = logarithm(rows)
        self.scale_ = np.maximum(logs.std(axis=0), _SMALLEST_SCALE)
        step = -(-len(logs) // self.most)
        self.kept_ = np.ascontiguousarray(logs[::step] / self.scale_)
        self.norms_ = (self.kept_**2).sum(axis=1)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        points = logarithm(rows) / self.scale_
        shares: np.ndarray = np.zeros_like(points)
        for start in range(0, len(points), _CHUNK):
            part = points[start : start + _CHUNK]
            nearest = self._nearest(part)
            for each in nearest.T:
                shares[start : start + _CHUNK] += (part - self.kept_[each]) ** 2 / len(nearest.T)
        total = np.sqrt(shares.sum(axis=1, keepdims=True))
        shares /= np.maximum(total, _TINY)
        return shares

    def _nearest(self, points: np.ndarray) -> np.ndarray:
        """Return the places of the nearest kept windows of each of *points*."""
        count = min(self.neighbours, len(self.kept_))
        distances = self.norms_ - 2.0 * (points @ self.kept_.T)
        order: np.ndarray = np.argpartition(distances, count - 1, axis=1)
        return order[:, :count]
