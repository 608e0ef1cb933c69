"""What detectors share: the estimator's methods, on top of what each feature adds.

Importing this module loads scikit-learn: import detectors where a model is fitted or scores.
"""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["CONTAMINATION", "Detector", "LooksAt"]

# counts: calls in a window, one column a call. grams: sequences of six calls, one column each, or
# one for the longest part of it that is known. hashes: two columns for each sequence, by hash.
LooksAt = Literal["counts", "grams", "hashes"]

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
        self.offset_ = float(np.quantile(self._scores(rows), self.contamination))
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

    def _checked(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False, accept_sparse=self._accepts())

    def _accepts(self) -> str | bool:
        return "csr" if self.takes_sparse else False


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

    def _lengths(self, rows: sp.csr_array) -> np.ndarray:
        """Return how many calls of a sequence each column knows: 6 where nobody says."""
        if self._grams is None:
            seen = np.asarray((rows != 0).sum(axis=0)).ravel() > 0
            return np.where(seen, 6.0, 0.0)
        lengths: np.ndarray = (self._grams >= 0).sum(axis=1).astype(np.float64)
        return lengths


def rarity(rows: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return of each column in how many *rows* it is, and its largest value."""
    seen = np.bincount(rows.indices, minlength=rows.shape[1]).astype(np.float64)
    most = np.asarray(rows.max(axis=0).todense(), np.float64).ravel()
    return seen, most


def weighed(rows: sp.csr_array, weight: np.ndarray, most: np.ndarray) -> sp.csr_array:
    """Return what each sequence weighs, as often as it counts.

    What was seen in few windows, at its usual count, is a little stranger than what was seen in
    many: it orders windows that hold nothing new, and never outweighs one new sequence.
    """
    result = rows.copy()
    top = most[rows.indices]
    known = np.minimum(rows.data / np.where(top > 0, top, 1.0), 1.0)
    result.data = np.where(top > 0, known, rows.data) * weight[rows.indices]
    return result


def scaled_rows(rows: sp.csr_array, by: np.ndarray) -> sp.csr_array:
    """Return *rows* with each multiplied by its number in *by*."""
    result = rows.copy()
    result.data = rows.data * np.repeat(by, np.diff(rows.indptr))
    return result


def row_sums(rows: sp.csr_array) -> np.ndarray:
    """Return what each of *rows* adds up to."""
    return np.asarray(rows.sum(axis=1), np.float64).ravel()
