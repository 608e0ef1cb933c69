"""Calls that the fitted windows never made: the allowlist, as a detector."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from learner.detectors.base import Detector, LooksAt

__all__ = ["UnseenCall"]


class UnseenCall(Detector):
    """How many different calls of a window are new.

    Each adds one, however often it is made: which calls there are says more than how many. No
    fitted window has any. *contamination* is not used but by `predict`.
    """

    name: ClassVar[str] = "unseen-call"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "calls that were never made"
    is_novelty: ClassVar[bool] = True

    def _learn(self, rows: np.ndarray) -> None:
        self.new_ = (rows <= 0).all(axis=0)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        shares: np.ndarray = ((rows > 0) & self.new_).astype(np.float64)
        return shares
