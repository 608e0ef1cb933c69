"""How short the known pieces are that a window's calls can be laid out of."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from learner.detectors.base import LooksAt
from learner.detectors.grams import WeighedGrams, as_sparse, rarity

__all__ = ["GramCover"]

_LONGEST = 6
_RARE = 0.001  # of a call nobody made, where a sequence was seen in one window


class GramCover(WeighedGrams):
    """How many pieces more than known sequences of six a call takes, in the mean.

    A call whose longest known end has *n* calls takes 1/n of a piece; one that nobody made takes
    two. *contamination* is the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "gram-cover"
    looks_at: ClassVar[LooksAt] = "grams"
    summary: ClassVar[str] = "calls that only short known sequences lead to"

    def _learn(self, rows: Any) -> None:
        matrix = as_sparse(rows)
        seen, most = rarity(matrix)
        lengths = self._lengths(matrix)
        # Half of a call is known of a call that nobody made: stranger than one in a new place.
        pieces = 1.0 / np.maximum(lengths, 0.5) - 1.0 / _LONGEST
        is_new = lengths < _LONGEST
        self.weights_ = np.where(is_new, pieces, _RARE / (1.0 + seen))
        self.most_ = np.where(is_new, 0.0, most)
