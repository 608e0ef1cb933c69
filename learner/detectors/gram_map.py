"""New sequences of calls as a kernel program finds them: by a map of bits, two for each.

The map has 2^16 bits whatever a workload does, so that it fits in one array of BPF. A new sequence
is missed where others have set both its bits.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from learner.detectors.base import LooksAt
from learner.detectors.grams import WeighedGrams, as_sparse, rarity

__all__ = ["GramMap"]

_RARE = 0.01  # of a bit that is not set, where one window set it


class GramMap(WeighedGrams):
    """How many bits of a window are not set, over the square root of how many it has.

    *contamination* is the share of the fitted windows that `predict` calls outliers.
    """

    name: ClassVar[str] = "gram-map"
    looks_at: ClassVar[LooksAt] = "hashes"
    summary: ClassVar[str] = "sequences whose bits in a map of 2^16 were never set"
    divisor: ClassVar[float] = 0.5

    def _learn(self, rows: Any) -> None:
        seen, most = rarity(as_sparse(rows))
        self.weights_ = np.where(seen == 0, 1.0, _RARE / (1.0 + seen))
        self.most_ = most
