"""How settled a baseline is: what is still to be seen, estimated from what was seen but once.

Good and Turing: when *f1* values were seen in exactly one of *n* windows, the next window shows
f1/n values that no window showed before. Chao carries it further ahead with *f2*, the values seen
in exactly two windows. Both hold while the workload does what it did; neither knows of a code path
that nothing has called yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ethogram.contracts.baseline import Baseline, Coverage, Dimension

__all__ = ["estimate", "expected_new", "settledness", "settledness_of"]

_TAIL = 0.025
_DIGITS = 6
_HORIZONS = ((86400.0, "day"), (3600.0, "hour"), (600.0, "10 minutes"), (60.0, "minute"))
# Behind twice the observed time the extrapolation is known to be worthless.
_REACH = 2.0
_FEWEST = 2  # of one window, everything was seen just once
_SINGULAR = {
    "syscalls": "system call",
    "execs": "executable",
    "files": "file",
    "peers": "peer",
    "listens": "listening port",
    "dns": "name",
    "capabilities": "capability",
    "operations": "operation",
}
_PLURAL = {"capabilities": "capabilities"}


def estimate(counts: Sequence[int], windows: int) -> Coverage:
    """Return the coverage of values of which each was seen in *counts* of *windows*.

    `unseen` is the number of new values expected in the next window; `low` and `high` bound it
    with 95 % confidence, taking the number of singletons as a Poisson count.
    """
    f1 = sum(count == 1 for count in counts)
    f2 = sum(count == 2 for count in counts)
    n = max(windows, 1)
    low, high = _poisson_bounds(f1)
    return Coverage(
        f1=f1,
        f2=f2,
        windows=windows,
        unseen=round(f1 / n, _DIGITS),
        low=round(low / n, _DIGITS),
        high=round(high / n, _DIGITS),
    )


def _poisson_bounds(count: int) -> tuple[float, float]:
    """Return the exact 95 % bounds of the mean of a Poisson variable that was *count* once."""
    widest = 10.0 + 2.0 * count + 10.0 * math.sqrt(count)
    low = _crossing(lambda mean: 1 - _at_most(count - 1, mean), 0.0, widest) if count else 0.0
    return low, _crossing(lambda mean: 1 - _at_most(count, mean), 0.0, widest, share=1 - _TAIL)


def _at_most(count: int, mean: float) -> float:
    """Return the probability that a Poisson variable of *mean* is at most *count*."""
    if not mean:
        return 1.0
    log = math.log(mean)
    return math.fsum(math.exp(k * log - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _crossing(
    rising: Callable[[float], float], low: float, high: float, *, share: float = _TAIL
) -> float:
    """Return where *rising* reaches *share* between *low* and *high*."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > share else (middle, high)
    return (low + high) / 2


def expected_new(coverage: Coverage, windows: float) -> float:
    """Return how many new values the next *windows* windows are expected to show (Chao, 2014)."""
    n, f1, f2 = coverage.windows, coverage.f1, coverage.f2
    if not f1 or not n:
        return 0.0
    missing = (f1 * f1 / (2 * f2) if f2 else f1 * (f1 - 1) / 2) * (n - 1) / n
    if not missing:
        return min(f1 / n * windows, float(f1))
    share = f1 / (n * missing + f1)
    return missing * float(1 - (1 - share) ** windows)


def settledness(dimension: Dimension, coverage: Coverage, window_seconds: float) -> str:
    """Return in one sentence what to expect of one instance, as far ahead as the data reach."""
    if coverage.windows < _FEWEST:
        things = _PLURAL.get(dimension, f"{_SINGULAR[dimension]}s")
        return f"too few windows to tell how many new {things} to expect"
    observed = coverage.windows * window_seconds
    seconds, name = next(
        (horizon for horizon in _HORIZONS if horizon[0] <= observed * _REACH),
        (window_seconds, "window"),
    )
    expected = expected_new(coverage, seconds / window_seconds if window_seconds else 1.0)
    singular = _SINGULAR[dimension]
    things = singular if f"{expected:.1f}" == "1.0" else _PLURAL.get(dimension, f"{singular}s")
    return f"{_rounded(expected)} new {things} expected in the next {name}"


def _rounded(value: float) -> str:
    if not value:
        return "no"
    return "fewer than 0.1" if value < 0.05 else f"{value:.1f}"


def settledness_of(baseline: Baseline) -> dict[Dimension, str]:
    """Return the sentence of each dimension that *baseline* covers."""
    windows = baseline.observation.windows
    seconds = baseline.observation.seconds / windows if windows else 0.0
    return {
        dimension: settledness(dimension, coverage, seconds)
        for dimension, coverage in baseline.coverage.items()
    }
