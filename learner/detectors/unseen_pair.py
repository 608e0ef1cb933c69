"""Calls that the fitted windows made, but never two of them in one window."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from learner.detectors.base import Detector, LooksAt

__all__ = ["UnseenPair"]


class UnseenPair(Detector):
    """How many pairs of calls of a window were never made in one window, as a logarithm.

    What a service does of one kind stays together: a call of its start beside one of its steady
    work is new although both are known. A call that is new makes a pair with each call of the
    window and with itself. No fitted window has any. *contamination* is not used but by `predict`.
    """

    name: ClassVar[str] = "unseen-pair"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "calls that were never made in one window"
    is_novelty: ClassVar[bool] = True

    def _learn(self, rows: np.ndarray) -> None:
        made = (rows > 0).astype(np.float64)
        self.new_ = (made.T @ made <= 0).astype(np.float64)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        made = (rows > 0).astype(np.float64)
        partners = (made @ self.new_) * made
        total = partners.sum(axis=1, keepdims=True)
        shares: np.ndarray = partners * (np.log1p(total / 2) / np.maximum(total, 1.0))
        return shares
