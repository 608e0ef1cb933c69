"""Thresholds from an alert budget: so many episodes in so much time, and no labels.

A window is flagged when its score is below the threshold. Flagged windows are one *episode* where
no more than `merge` windows that are not flagged lie between them, and no two blocks share one.

Scores have to be held out: made by a model that did not see the window, nor its neighbours in
time. With *k* episodes in a held-out time *T* at a threshold that one of its windows set,
*(k + 1) / T* is the rate to expect of time to come: the `+ 1` is what conformal prediction pays
for having chosen the threshold on the same windows. It holds where episodes come independently of
each other and as often as before; the rate that was realised on unseen time stands beside it,
because both may fail.

Sources: Angelopoulos et al., Conformal Risk Control, ICLR 2024 (the correction); Ferro and Segers,
Inference for clusters of extreme values, JRSS B 2003 (runs of exceedances as events).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ethogram.contracts.escape import escape
from ethogram.errors import UsageError

__all__ = [
    "Budget",
    "Insufficient",
    "Realised",
    "Threshold",
    "episodes",
    "realised",
    "share_threshold",
    "threshold",
]

_SECONDS = {"s": 1, "min": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 2592000}
_LEAST, _MOST = 1e-3, 1e6  # episodes; beyond, it is a slip of the hand
_ROUNDING = 1e-9
_FORM = re.compile(rf"([0-9]+(?:\.[0-9]+)?)/({'|'.join(_SECONDS)})")


@dataclass(frozen=True, slots=True)
class Budget:
    """At most *episodes* false alarms in *seconds*, on average."""

    episodes: float
    seconds: float
    text: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget that *text* writes: `1/week`, `0.15/min`. `UsageError` if none does."""
        match = _FORM.fullmatch(text)
        if match is None or not _LEAST <= float(match[1]) <= _MOST:
            raise UsageError(
                f"`{escape(text)}` is no alert budget",
                hint="write episodes, 0.001 to 1000000, and a time, as in `1/week`; times: "
                f"{', '.join(_SECONDS)}",
            )
        return cls(float(match[1]), float(_SECONDS[match[2]]), text)

    @property
    def rate(self) -> float:
        """Episodes a second."""
        return self.episodes / self.seconds

    def missing(self, seconds: float) -> float:
        """Return how many more than *seconds* have to be watched for one episode; 0 where none."""
        return 0.0 if self.rate * seconds + _ROUNDING >= 1 else 1 / self.rate - seconds


@dataclass(frozen=True, slots=True)
class Threshold:
    """Windows that score below *score* are flagged; *promised* episodes a second to be expected.

    *episodes* of the held-out *seconds* are flagged.
    """

    score: float
    promised: float
    episodes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Insufficient:
    """No threshold keeps the budget with *seconds* of held-out time: *missing* more are needed."""

    budget: Budget
    seconds: float
    missing: float

    def __str__(self) -> str:
        return f"insufficient: needs {_told(self.missing)} more for this budget"


@dataclass(frozen=True, slots=True)
class Realised:
    """What a threshold did on unseen time, with the 95 % interval of its rate."""

    episodes: int
    seconds: float
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Episodes a second."""
        return self.episodes / self.seconds


def threshold(
    blocks: Sequence[np.ndarray], budget: Budget, *, window_s: float, merge: int = 0
) -> Threshold | Insufficient:
    """Return the highest threshold at which held-out *blocks* promise to keep the *budget*.

    Each block holds the scores of consecutive windows of *window_s* seconds, higher is more normal;
    NaN is a window without a score, which is not flagged.
    """
    seconds = window_s * sum(map(len, blocks))
    if missing := budget.missing(seconds):
        return Insufficient(budget, seconds, missing)
    allowed = int(budget.rate * seconds + _ROUNDING) - 1
    most, count, limit = 0, 0, np.inf
    flagged: list[int] = []
    for score, places in _strangest_first(blocks, merge):
        limit = score
        for place in places:
            count += _added(flagged, place, merge)
        if count > allowed:
            break
        most = max(most, count)
    return Threshold(float(limit), (most + 1) / seconds, most, seconds)


def share_threshold(blocks: Sequence[np.ndarray], share: float) -> float | None:
    """Return the threshold below which *share* of the windows to come are expected, or None.

    None where the held-out *blocks* have too few windows for it: 1 / share - 1 are needed.
    """
    scores = np.sort(np.concatenate(blocks))
    rank = int(share * (np.isfinite(scores).sum() + 1) + 1e-9)
    return float(scores[rank - 1]) if rank else None


def episodes(flags: np.ndarray, *, merge: int = 0) -> int:
    """Return how many episodes the consecutive *flags* of one block make."""
    places = np.flatnonzero(flags)
    return int(len(places) > 0) + int((np.diff(places) > merge + 1).sum())


def realised(
    blocks: Iterable[np.ndarray], score: float, *, window_s: float, merge: int = 0
) -> Realised:
    """Return what the threshold *score* does on *blocks* of unseen time."""
    from scipy.stats import chi2  # noqa: PLC0415  comes with scikit-learn, for models alone

    count, windows = 0, 0
    for block in blocks:
        count += episodes(block < score, merge=merge)
        windows += len(block)
    seconds = windows * window_s
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0  # Garwood 1936, of a Poisson count
    return Realised(count, seconds, low / seconds, chi2.ppf(0.975, 2 * count + 2) / 2 / seconds)


def _strangest_first(blocks: Sequence[np.ndarray], merge: int) -> Iterable[tuple[float, list[int]]]:
    """Yield scores from the lowest up, each with the places of its windows on one line of time."""
    places, start = [], 0
    for block in blocks:
        places.append(np.arange(start, start + len(block)))
        start += len(block) + merge + 1  # so that no episode spans two blocks
    scores = np.concatenate(blocks)
    line = np.concatenate(places)
    has_score = ~np.isnan(scores)
    scores, line = scores[has_score], line[has_score]
    order = np.argsort(scores, kind="stable")
    pairs = zip(scores[order].tolist(), line[order].tolist(), strict=True)
    for score, group in groupby(pairs, key=lambda pair: pair[0]):
        yield score, [place for _, place in group]


def _added(flagged: list[int], place: int, merge: int) -> int:
    """Flag *place*; return by how many that changes the number of episodes: 1, 0 or -1."""
    at = bisect_left(flagged, place)
    joins_left = at > 0 and place - flagged[at - 1] <= merge + 1
    joins_right = at < len(flagged) and flagged[at] - place <= merge + 1
    flagged.insert(at, place)
    return 1 - joins_left - joins_right


def _told(seconds: float) -> str:
    for name, length in reversed(_SECONDS.items()):
        if name != "month" and seconds >= 2 * length:
            return f"{seconds / length:.3g} {name}s".replace("mins", "minutes").replace("ss", "s")
    return f"{seconds:.3g} s"
