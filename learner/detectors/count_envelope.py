"""Calls made more often in a window than in any fitted one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from learner.detectors.base import Detector, LooksAt
from learner.detectors.residual import logarithm

__all__ = ["CountEnvelope"]


class CountEnvelope(Detector):
    """By how much the call that exceeds its highest fitted count most exceeds it, in logarithms.

    Below zero where none does: how far the nearest is from its highest count. *contamination* is
    the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "count-envelope"
    looks_at: ClassVar[LooksAt] = "counts"
    summary: ClassVar[str] = "more of a call than any fitted window has"

    def _learn(self, rows: np.ndarray) -> None:
        self.most_ = logarithm(rows).max(axis=0)

    def _shares(self, rows: np.ndarray) -> np.ndarray:
        margins = logarithm(rows) - self.most_
        return only_largest(margins, margins)


def only_largest(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return *values* with all of a row but the one that is largest in *by* set to zero."""
    shares = np.zeros_like(values)
    where = np.arange(len(values)), by.argmax(axis=1)
    shares[where] = values[where]
    return shares
