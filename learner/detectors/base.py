"""What detectors share: the estimator's methods, on top of what each feature adds.

Importing this module loads scikit-learn: import detectors where a model is fitted or scores.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["CONTAMINATION", "Detector", "LooksAt"]

# counts: calls in a window, one column a call. grams: sequences of six calls, one column each, or
# one for the longest part of it that is known. hashes: two columns for each sequence, by hash.
LooksAt = Literal["counts", "grams", "hashes"]

# A quantile of this many rows, evenly over time, is that of all: scoring costs more than learning.
_MOST_FOR_OFFSET = 1000

CONTAMINATION = Interval(Real, 0, 0.5, closed="right")


class Detector(OutlierMixin, BaseEstimator):  # type: ignore[misc]  # has no types
    """A detector whose score is what its features add up to.

    A subclass names itself, learns in `_learn` and says in `_shares` what each feature of each row
    adds to the row's strangeness. Rows are windows, columns raw counts. *contamination* is the
    share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str]
    looks_at: ClassVar[LooksAt]
    summary: ClassVar[str]
    takes_sparse: ClassVar[bool] = False
    is_novelty: ClassVar[bool] = False  # no fitted row is an outlier of its own detector
    sees_unseen: ClassVar[bool] = True  # a feature that no fitted row has makes a row strange
    _parameter_constraints: ClassVar[dict[str, Any]] = {"contamination": [CONTAMINATION]}

    def __init__(self, *, contamination: float = 0.05) -> None:
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803  scikit-learn's names
        """Learn from the rows of *X*, at least two; *y* is not looked at."""
        self._validate_params()
        rows = validate_data(
            self, X, dtype=np.float64, ensure_min_samples=2, accept_sparse=self._accepts()
        )
        self._learn(rows)
        some = rows[:: -(-rows.shape[0] // _MOST_FOR_OFFSET)]
        self.offset_ = float(np.quantile(self._scores(some), self.contamination))
        return self

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return for each row of *X* how normal it is: higher is more normal."""
        return self._scores(self._checked(X))

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the scores of *X* above the threshold; below zero are outliers."""
        decision: np.ndarray = self.score_samples(X) - self.offset_
        return decision

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return 1 for each normal row of *X* and -1 for each outlier."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def contributions(self, X: Any) -> Any:  # noqa: N803
        """Return what each feature adds to the strangeness of each row of *X*.

        A row of the result sums up to minus the row's score. Sparse where *X* is.
        """
        return self._shares(self._checked(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.takes_sparse
        if self.is_novelty:
            tags.estimator_type = None
        return tags

    def _learn(self, rows: Any) -> None:
        raise NotImplementedError

    def _shares(self, rows: Any) -> Any:
        raise NotImplementedError

    def _scores(self, rows: Any) -> np.ndarray:
        """Return the scores; overridden where they cost less than the shares."""
        shares = self._shares(rows)
        total = shares.sum(axis=1)
        return -np.asarray(total, dtype=np.float64).ravel()

    def quick_scores(self, rows: Any) -> np.ndarray:
        """Return the scores of *rows*, which are as `fit` makes them: nothing is checked.

        Checking one row costs more than scoring it.
        """
        return self._scores(rows)

    def _checked(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False, accept_sparse=self._accepts())

    def _accepts(self) -> str | bool:
        return "csr" if self.takes_sparse else False
