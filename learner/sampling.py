"""Which windows are kept where there are too many: those that rank first by a hash.

A window's rank is the hash of the minute that it is from, then its own place there: neighbours stay
together. The sample is the windows that rank first, and for each call the window that makes it and
ranks first, so that no call that was made is unknown. Both are unions of ranks: the sample of
merged samples is the sample of all their windows, in whatever order they came.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from learner.windows import SteadyWindows

__all__ = ["INDEX", "SAMPLE", "sampled"]

# Where a window is from: with these, a window that two recordings hold is one.
INDEX = ["recording_id", "instance_key", "window"]
SAMPLE = 2048
_BLOCK = 12  # windows that are taken together: a minute of windows of 5 s


def sampled(windows: SteadyWindows, *, most: int = SAMPLE) -> npt.NDArray[np.bool_]:
    """Return which of *windows* are in their sample: *most*, and one for each call beyond."""
    ranks = _ranks(windows.index)
    order = np.lexsort((windows.index.window.to_numpy(), ranks))
    chosen = np.zeros(len(windows), np.bool_)
    chosen[order[:most]] = True
    makes = windows.counts[order] > 0
    chosen[order[makes.argmax(axis=0)[makes.any(axis=0)]]] = True
    return chosen


def _ranks(index: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """Return the rank of the minute of each window."""
    blocks = index[INDEX].assign(window=index.window // _BLOCK)
    codes, distinct = pd.factorize(pd.MultiIndex.from_frame(blocks))
    hashes = [
        hashlib.blake2b("\0".join(map(str, block)).encode(), digest_size=8).digest()
        for block in distinct
    ]
    ranks: npt.NDArray[np.uint64] = np.frombuffer(b"".join(hashes), "<u8")[codes]
    return ranks
