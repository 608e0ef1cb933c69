"""The call that is furthest from what the other calls of its window lead to expect."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from learner.detectors.base import CONTAMINATION, Detector, LooksAt
from learner.detectors.count_envelope import only_largest
from learner.detectors.residual import logarithm, subspace

__all__ = ["ResidualPeak"]

_SMALLEST_VARIANCE = 1e-6
_SMALLEST_DEVIATION = 0.1  # of a scaled logarithm: what never leaves the subspace, may a little


class ResidualPeak(Detector):
    """The largest distance of a call from a principal subspace, in its own standard deviations.

    `residual` adds up the distances of all calls; where a few calls leave the subspace among
    hundreds, the sum drowns them. *explained* is the share of the variance that the subspace keeps,
    *contamination* the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "residual-peak"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "one call in another proportion to the others"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "explained": [Interval(Real, 0, 1, closed="neither")],
        "contamination": [CONTAMINATION],
    }

    def __init__(self, *, explained: float = 0.95, contamination: float = 0.05) -> None:
        self.explained = explained
        self.contamination = contamination

    def _learn(self, rows: np.ndarray) -> None:
        found = subspace(logarithm(rows), self.explained)
        self.mean_, self.scale_ = found.mean, found.scale
        # A subspace that is the whole space leaves nothing, and neither does a direction in which
        # nothing ever moved: along it any distance would be expected.
        moved = int((found.variances > _SMALLEST_VARIANCE).sum())
        self.components_ = found.components[: min(moved, rows.shape[1] - 1)]
        self.deviation_ = np.maximum(self._residuals(rows).std(axis=0), _SMALLEST_DEVIATION)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        distances = np.abs(self._residuals(rows)) / self.deviation_
        return only_largest(distances, distances)

    def _residuals(self, rows: np.ndarray) -> np.ndarray:
        scaled = (logarithm(rows) - self.mean_) / self.scale_
        residuals: np.ndarray = scaled - (scaled @ self.components_.T) @ self.components_
        return residuals
