"""The anomaly model: how far a window lies from what the windows it was fitted on span.

Importing this module loads scikit-learn: import it where a model is fitted or scores.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ResidualDetector"]

# In logarithms: a feature that never changed counts a change by half as one deviation.
_SMALLEST_SCALE = 0.5
_SMALLEST_VARIANCE = 0.05
_TINY = 1e-12


class ResidualDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # has no types
    """Outliers of a principal subspace of scaled logarithms.

    *explained* is the share of the variance that the subspace keeps. *contamination* is the share
    of the fitted windows that `predict` calls outliers.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "explained": [Interval(Real, 0, 1, closed="neither")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
    }

    def __init__(self, *, explained: float = 0.95, contamination: float = 0.05) -> None:
        self.explained = explained
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803  scikit-learn's names
        """Fit the subspace to the rows of *X*, at least two; *y* is not looked at."""
        self._validate_params()
        rows = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        logs = _logarithm(rows)
        self.mean_ = logs.mean(axis=0)
        self.scale_ = np.maximum(logs.std(axis=0), _SMALLEST_SCALE)
        scaled = (logs - self.mean_) / self.scale_
        _, singular, directions = np.linalg.svd(scaled, full_matrices=False)
        variances = singular**2 / (len(rows) - 1)
        shares = np.cumsum(variances) / max(float(variances.sum()), _TINY)
        count = min(int(np.searchsorted(shares, self.explained)) + 1, len(variances))
        self.components_ = directions[:count]
        self.variances_ = np.maximum(variances[:count], _SMALLEST_VARIANCE)
        rest = float(variances[count:].sum()) / max(rows.shape[1] - count, 1)
        self.noise_variance_ = max(rest, _SMALLEST_VARIANCE)
        self.offset_ = float(np.quantile(self._scores(rows), self.contamination))
        return self

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return for each row of *X* how normal it is: zero is the middle, lower is stranger."""
        check_is_fitted(self)
        return self._scores(validate_data(self, X, dtype=np.float64, reset=False))

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the scores of *X* above the threshold; below zero are outliers."""
        decision: np.ndarray = self.score_samples(X) - self.offset_
        return decision

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return 1 for each normal row of *X* and -1 for each outlier."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def contributions(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the share of each feature in the distance of each row of *X*.

        A row of the result sums up to minus the row's score.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
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
        scaled = (_logarithm(rows) - self.mean_) / self.scale_
        inside = scaled @ self.components_.T
        return scaled, inside, scaled - inside @ self.components_


def _logarithm(rows: np.ndarray) -> np.ndarray:
    """Return rates as logarithms: twice as often is as far from once as four times from twice."""
    logs: np.ndarray = np.sign(rows) * np.log1p(np.abs(rows))
    return logs
