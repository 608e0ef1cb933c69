"""scikit-learn's isolation forest on log counts: the common reference, in no default ensemble."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.utils._param_validation import Interval

from learner.detectors.base import CONTAMINATION, Detector, LooksAt
from learner.detectors.residual import logarithm

__all__ = ["Forest"]


class Forest(Detector):
    """An isolation forest of *trees* trees, grown by *seed*, on logarithms.

    A tree splits what varied: a call that no fitted window made is not looked at.
    *contamination* is the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "isolation-forest"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "windows that few random splits set apart; the reference"
    sees_unseen: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "trees": [Interval(Integral, 1, None, closed="left")],
        "seed": [Interval(Integral, 0, None, closed="left")],
        "contamination": [CONTAMINATION],
    }

    def __init__(self, *, trees: int = 100, seed: int = 0, contamination: float = 0.05) -> None:
        self.trees = trees
        self.seed = seed
        self.contamination = contamination

    def _learn(self, rows: np.ndarray) -> None:
        forest = IsolationForest(n_estimators=self.trees, random_state=self.seed)
        self.forest_ = forest.fit(logarithm(rows))

    def _scores(self, rows: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self.forest_.score_samples(logarithm(rows))
        return scores

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        """Return the scores, split by how often a feature is asked on the way of a row."""
        logs = logarithm(rows)
        asked = np.zeros(rows.shape)
        for tree in self.forest_.estimators_:
            path = tree.decision_path(logs.astype(np.float32))
            feature = tree.tree_.feature
            inner = np.flatnonzero(feature >= 0)
            one_hot = np.zeros((len(feature), rows.shape[1]))
            one_hot[inner, feature[inner]] = 1.0
            steps = path @ one_hot
            # Few steps set a strange row apart: each of them says more.
            asked += steps / np.maximum(steps.sum(axis=1, keepdims=True), 1.0) ** 2
        total = asked.sum(axis=1, keepdims=True)
        even = np.full(rows.shape, 1.0 / rows.shape[1])
        parts = np.divide(asked, total, out=even, where=total > 0)
        shares: np.ndarray = -self._scores(rows)[:, np.newaxis] * parts
        return shares
