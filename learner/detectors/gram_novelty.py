"""Sequences of six calls that the fitted windows never showed: an exact set."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from learner.detectors.base import LooksAt
from learner.detectors.grams import WeighedGrams, as_sparse, rarity

__all__ = ["GramNovelty"]

_LONGEST = 6
_RARE = 0.01  # of one that is new, where it was seen in one window


class GramNovelty(WeighedGrams):
    """How many sequences of a window are new, over the square root of how many it has.

    Neither their number, which grows with the window, nor their share, which a long window hides:
    between them, as new ones come by chance. *contamination* is the share of the fitted windows
    that `predict` calls outliers.
    """

    name: ClassVar[str] = "gram-novelty"
    looks_at: ClassVar[LooksAt] = "grams"
    summary: ClassVar[str] = "sequences of six calls that were never seen"
    divisor: ClassVar[float] = 0.5

    def _learn(self, rows: Any) -> None:
        matrix = as_sparse(rows)
        seen, most = rarity(matrix)
        is_new = self._lengths(matrix) < _LONGEST
        self.weights_ = np.where(is_new, 1.0, _RARE / (1.0 + seen))
        self.most_ = np.where(is_new, 0.0, most)
