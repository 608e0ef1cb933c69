"""How far a window lies from what the windows it was fitted on span.

A service under load makes more of the calls it always makes, and in the same proportions: the
windows span few directions. What leaves them is strange however often each call alone was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval

from learner.detectors.base import CONTAMINATION, Detector, LooksAt

__all__ = ["ResidualDetector", "Subspace", "logarithm", "subspace"]

# In logarithms: a feature that never changed counts a change by half as one deviation.
_SMALLEST_SCALE = 0.5
_SMALLEST_VARIANCE = 0.05
_TINY = 1e-12


class ResidualDetector(Detector):
    """Outliers of a principal subspace of scaled logarithms.

    *explained* is the share of the variance that the subspace keeps. *contamination* is the share
    of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "residual"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "calls in other proportions than the windows it was fitted on span"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "explained": [Interval(Real, 0, 1, closed="neither")],
        "contamination": [CONTAMINATION],
    }

    def __init__(self, *, explained: float = 0.95, contamination: float = 0.05) -> None:
        self.explained = explained
        self.contamination = contamination

    def _learn(self, rows: np.ndarray) -> None:
        found = subspace(logarithm(rows), self.explained)
        self.mean_, self.scale_, self.components_ = found.mean, found.scale, found.components
        count = len(found.components)
        self.variances_ = np.maximum(found.variances[:count], _SMALLEST_VARIANCE)
        rest = float(found.variances[count:].sum()) / max(rows.shape[1] - count, 1)
        self.noise_variance_ = max(rest, _SMALLEST_VARIANCE)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        scaled, inside, residual = self._parts(rows)
        pull = (inside / self.variances_) @ self.components_ + residual / self.noise_variance_
        shares: np.ndarray = scaled * pull / rows.shape[1]
        return shares

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        _, inside, residual = self._parts(rows)
        distance = (inside**2 / self.variances_).sum(axis=1)
        distance += (residual**2).sum(axis=1) / self.noise_variance_
        scores: np.ndarray = -distance / rows.shape[1]
        return scores

    def _parts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return *rows* scaled, where they lie in the subspace, and what it leaves of them."""
        scaled = (logarithm(rows) - self.mean_) / self.scale_
        inside = scaled @ self.components_.T
        return scaled, inside, scaled - inside @ self.components_


@dataclass(frozen=True, slots=True)
class Subspace:
    """Where rows lie: the first directions of their scaled values; *variances* is of all."""

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    variances: np.ndarray


def subspace(logs: np.ndarray, explained: float) -> Subspace:
    """Return the principal subspace that keeps the share *explained* of the variance of *logs*."""
    mean = logs.mean(axis=0)
    scale = np.maximum(logs.std(axis=0), _SMALLEST_SCALE)
    _, singular, directions = np.linalg.svd((logs - mean) / scale, full_matrices=False)
    variances = singular**2 / (len(logs) - 1)
    shares = np.cumsum(variances) / max(float(variances.sum()), _TINY)
    count = min(int(np.searchsorted(shares, explained)) + 1, len(variances))
    return Subspace(mean, scale, directions[:count], variances)


def logarithm(rows: np.ndarray) -> np.ndarray:
    """Return counts as logarithms: twice as often is as far from once as four times from twice."""
    logs: np.ndarray = np.sign(rows) * np.log1p(np.abs(rows))
    return logs
