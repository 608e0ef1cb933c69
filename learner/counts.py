"""Bounds of counts: Poisson ones, and those that come in bursts."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

__all__ = ["dispersion", "mixed_poisson_bounds", "poisson_bounds"]

_TAIL = 0.025
_QUANTILE = 1.959964
_EXACT = 40
_NORMAL = 300.0
_Array: TypeAlias = "np.ndarray[Any, Any]"


def dispersion(counts: _Array) -> float:
    """Return the variance of *counts* over their mean, at least 1, as of independent events."""
    mean = float(counts.mean()) if len(counts) else 0.0
    if not mean:
        return 1.0
    spread = float(counts.var(ddof=1)) if len(counts) > 1 else float(counts.sum())
    return max(1.0, spread / mean)


def mixed_poisson_bounds(shape: float, ahead: float) -> tuple[int, int]:
    """Return the 95 % bounds of a Poisson count whose mean is *ahead* times a gamma of *shape*.

    That is a negative binomial. Of large ones the normal distribution says the same.
    """
    mean = shape * ahead
    if mean > _NORMAL:
        wide = _QUANTILE * math.sqrt(mean * (1 + ahead))
        return max(0, math.floor(mean - wide)), math.ceil(mean + wide)
    chance = (1 + ahead) ** -shape
    below, count = chance, 0
    low: int | None = None
    while below < 1 - _TAIL and count < 100 * (mean + 10):
        if low is None and below >= _TAIL:
            low = count
        chance *= (shape + count) / (count + 1) * ahead / (1 + ahead)
        count += 1
        below += chance
    return (count if low is None else low), count


def poisson_bounds(count: int) -> tuple[float, float]:
    """Return the 95 % bounds of the mean of a Poisson variable that was *count* once.

    Exact ones of small counts (Garwood); of larger ones Wilson and Hilferty's are as good.
    """
    if count > _EXACT:
        return _cube(count, -1), _cube(count + 1, 1)
    widest = 10.0 + 2.0 * count + 10.0 * math.sqrt(count)
    low = _crossing(count - 1, 0.0, widest, _TAIL) if count else 0.0
    return low, _crossing(count, 0.0, widest, 1 - _TAIL)


def _cube(count: int, side: int) -> float:
    return count * float(1 - 1 / (9 * count) + side * _QUANTILE / (3 * math.sqrt(count))) ** 3


def _crossing(count: int, low: float, high: float, share: float) -> float:
    """Return the mean at which more than *count* has the probability *share*."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if 1 - _at_most(count, middle) > share else (middle, high)
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    """Return the probability that a Poisson variable of *mean* is at most *count*."""
    if not mean:
        return 1.0
    log = math.log(mean)
    return math.fsum(math.exp(k * log - mean - math.lgamma(k + 1)) for k in range(count + 1))
