"""How often something new comes, from what was seen in one stretch of the time and never else.

Windows that follow each other are not independent: one job opens new files in three of them, and
none of these was seen "in exactly one window". So the observed time is cut into stretches, each
longer than such a burst, and a value is *lone* where all that was ever seen of it lies within the
length of one. Had that stretch not been watched, the value would be unknown: the number of lone
values is Good and Turing's f1 with stretches for samples, whatever goes on within them.

Lone values come in bursts too. How unevenly they are spread over the stretches (the variance of
their counts over its mean) says how many come at once, and widens every interval by as much.

Names that come and stay are never lone. So what was found in the second half of the time is looked
at as well, and where it came faster than lone values say, the upper bounds follow it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from learner.counts import dispersion, mixed_poisson_bounds, poisson_bounds

__all__ = ["BLOCKS", "FEWEST_WINDOWS", "Novelty", "still_unseen"]

BLOCKS = 24
_BURST_WINDOWS = 6  # a burst is rarely longer, so a stretch is never shorter
_FEWEST_BLOCKS = 2
FEWEST_WINDOWS = 60  # of fewer the intervals were found to hold too rarely
_PRIOR = 0.5  # Jeffreys: of something that was never seen, half a time is assumed
_Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass(frozen=True)
class Novelty:
    """When each value was seen *first* and *last*, in seconds of *length_s* that were observed.

    It was seen in *windows* windows, each *window_s* long: the resolution of the times.
    """

    first: _Array
    last: _Array
    windows: _Array
    length_s: float
    window_s: float

    @property
    def is_enough(self) -> bool:
        """Whether it was watched for long enough to look ahead."""
        return self.length_s + self.window_s / 2 >= FEWEST_WINDOWS * self.window_s > 0

    @cached_property
    def blocks(self) -> int:
        """How many stretches the time was cut into."""
        windows = int(self.length_s / self.window_s + 0.5) if self.window_s else 0
        return min(max(windows, 1), BLOCKS, max(_FEWEST_BLOCKS, windows // _BURST_WINDOWS))

    @property
    def block_s(self) -> float:
        """How long a stretch is."""
        return self.length_s / self.blocks

    @cached_property
    def is_lone(self) -> _Array:
        """Which values were seen in one stretch alone."""
        # Times are those of windows: what is in one window spans it.
        return (self.last - self.first) <= self.block_s * (1 + 1e-9) + self.window_s * 1e-6

    @cached_property
    def _is_late(self) -> _Array:
        return self.first >= self.length_s / 2

    @cached_property
    def lone(self) -> int:
        """How many values were seen in one stretch alone."""
        return int(self.is_lone.sum())

    @cached_property
    def twice(self) -> int:
        """About how many were seen in two stretches.

        A summary does not say. Two are taken for a value that is not lone and has no more than
        twice the windows that a lone one has.
        """
        if not self.lone:
            return 0
        usual = float(self.windows[self.is_lone].mean()) or 1.0
        return int((~self.is_lone & (np.round(self.windows / usual) <= 2)).sum())

    @cached_property
    def pace(self) -> float:
        """How many new values as long a time again may show: the lone, or as many as came late."""
        return max(float(self.lone), 2.0 * int(self._is_late.sum()))

    @cached_property
    def burst(self) -> float:
        """How many new values come at once."""
        if self.lone >= 2 * int(self._is_late.sum()):
            return dispersion(self._spread(self.first[self.is_lone]))
        return dispersion(self._spread(self.first[self._is_late], since=self.length_s / 2))

    def _spread(self, times: _Array, since: float = 0.0) -> _Array:
        end = self.length_s or 1.0
        return np.histogram(times, bins=self.blocks, range=(since, end))[0]

    def bounds(self) -> tuple[float, float]:
        """Return the 95 % bounds of how many lone values so long a time shows."""
        low, _ = _scaled_bounds(self._surely_lone, self.burst)
        return low, _scaled_bounds(self.pace, self.burst)[1]

    @property
    def _surely_lone(self) -> float:
        """Lone values without those that came twice and by chance within one stretch."""
        chance = 2 / self.blocks - 1 / self.blocks**2
        return max(0.0, self.lone - self.twice * chance / (1 - chance) if self.blocks > 1 else 0.0)

    # --- ahead ---------------------------------------------------------------------------------

    @cached_property
    def unseen(self) -> float:
        """How many values of all are still unseen, at least."""
        at_once = self.burst
        return at_once * still_unseen(self.lone / at_once, self.twice / at_once, self.blocks)

    def expected(self, seconds: float) -> float:
        """Return how many new values the next *seconds* are expected to show (Chao)."""
        return self._ahead(self.lone, seconds)

    def _ahead(self, lone: float, seconds: float) -> float:
        if not lone or not self.length_s:
            return 0.0
        # Where nothing was seen twice, one burst is taken to have been: it levels off all the same.
        unseen = lone * lone / (2 * max(self.twice, self.burst))
        return unseen * (1 - math.exp(-lone / unseen * seconds / self.length_s))

    def probability(self, seconds: float) -> float:
        """Return how likely the next *seconds* show anything new."""
        if not self.length_s:
            return 1.0
        shape = self.pace / self.burst + _PRIOR
        return 1 - math.exp(-shape * math.log1p(seconds / self.length_s))

    def count_bounds(self, seconds: float) -> tuple[int, int]:
        """Return between how many new values the next *seconds* show, with 95 % probability."""
        if not self.length_s:
            return 0, 0
        ahead, at_once = seconds / self.length_s, self.burst
        least = self._ahead(self._surely_lone, seconds) / ahead
        low, _ = mixed_poisson_bounds(least / at_once + _PRIOR, ahead)
        _, high = mixed_poisson_bounds(self.pace / at_once + _PRIOR, ahead)
        return math.floor(low * at_once), math.ceil(high * at_once)

    # --- settled -------------------------------------------------------------------------------

    @cached_property
    def settled(self) -> float:
        """The share of windows to come that show nothing new: at least this, at 97.5 %."""
        if not self.is_enough:
            return 0.0
        windows = self.length_s / self.window_s
        lone = np.unique(np.floor(self.first[self.is_lone] / self.window_s + 1e-6))
        late = np.unique(np.floor(self.first[self._is_late] / self.window_s + 1e-6))
        if len(lone) >= 2 * len(late):
            spread = self._spread(lone * self.window_s)
        else:
            spread = self._spread(late * self.window_s, since=self.length_s / 2)
        _, high = _scaled_bounds(max(len(lone), 2 * len(late)), dispersion(spread))
        return max(0.0, 1 - high / windows)


def _scaled_bounds(count: float, at_once: float) -> tuple[float, float]:
    low, _ = poisson_bounds(math.floor(count / at_once))
    _, high = poisson_bounds(math.ceil(count / at_once))
    return low * at_once, high * at_once


def still_unseen(f1: float, f2: float, samples: int) -> float:
    """Return how many values of all are still unseen, at least (Chao2)."""
    most = f1 * f1 / (2 * f2) if f2 else max(0.0, f1 * (f1 - 1) / 2)
    return most * (samples - 1) / samples if samples else 0.0
