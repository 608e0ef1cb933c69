"""How settled a baseline is: what is still to be seen, estimated from what was seen but once.

Good and Turing: when *f1* values were seen in exactly one of *n* samples, the next sample shows
f1/n values that none showed before. Chao carries it further ahead with *f2*, the values seen in
exactly two. What a sample is decides what an interval is worth: `learner.novelty` takes stretches
of the time. All of it holds while the workload does what it did; none of it knows of a code path
that nothing has called yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from ethogram.contracts.baseline import Baseline, Coverage, Dimension, Outlook, Runs
from learner.counts import poisson_bounds
from learner.novelty import Novelty, still_unseen
from learner.richness import curve_of, in_all_of

__all__ = ["HORIZONS", "estimate", "expected_new", "outlook_of", "settledness", "settledness_of"]

HORIZONS = ((86400.0, "day"), (3600.0, "hour"), (600.0, "10 minutes"), (60.0, "minute"))
_DIGITS = 6
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


def estimate(
    counts: Sequence[int],
    windows: int,
    *,
    novelty: Novelty | None = None,
    before: int = 0,
    runs: Runs | None = None,
) -> Coverage:
    """Return the coverage of values of which each was seen in *counts* of *windows*.

    *novelty* says when; without it, and of a short time, each window is a sample of its own, and
    nothing is said of the time ahead. *before* values were known from the start.
    """
    f1 = sum(count == 1 for count in counts)
    f2 = sum(count == 2 for count in counts)
    n = max(windows, 1)
    if novelty is None or not novelty.is_enough:
        low, high = poisson_bounds(f1)
        return Coverage(
            f1=f1, f2=f2, windows=windows, runs=runs,
            unseen=_per(f1, n), low=_per(low, n), high=_per(high, n),
        )  # fmt: skip
    low, high = novelty.bounds()
    return Coverage(
        f1=f1,
        f2=f2,
        windows=windows,
        unseen=_per(novelty.lone, n),
        low=_per(low, n),
        high=_per(high, n),
        lone=novelty.lone,
        block_seconds=round(novelty.block_s, 3),
        burst=round(novelty.burst, 3),
        settled=round(novelty.settled, _DIGITS),
        next=outlook_of(novelty),
        in_all=in_all_of(novelty),
        runs=runs,
        curve=curve_of(novelty, before),
    )


def _per(count: float, samples: int) -> float:
    return round(count / samples, _DIGITS)


def outlook_of(novelty: Novelty, seconds: float | None = None) -> Outlook:
    """Return what the next *seconds* show; by default the longest horizon that was watched once."""
    if seconds is None:
        seconds = next(
            (length for length, _ in HORIZONS if length <= novelty.length_s * (1 + 1e-6)),
            novelty.window_s,
        )
    low, high = novelty.count_bounds(seconds)
    return Outlook(
        seconds=round(seconds, 3),
        probability=round(novelty.probability(seconds), _DIGITS),
        expected=round(novelty.expected(seconds), _DIGITS),
        low=low,
        high=high,
    )


def expected_new(coverage: Coverage, windows: float) -> float:
    """Return how many new values the next *windows* windows are expected to show (Chao, 2014)."""
    n, f1, f2 = coverage.windows, coverage.f1, coverage.f2
    f1 = f1 if coverage.lone is None else coverage.lone
    if not f1 or not n:
        return 0.0
    in_all = coverage.in_all
    missing = still_unseen(f1, f2, n) if in_all is None else in_all.unseen
    if not missing:
        return min(f1 / n * windows, float(f1))
    share = f1 / (n * missing + f1)
    return missing * float(1 - (1 - share) ** windows)


def settledness(dimension: Dimension, coverage: Coverage, window_seconds: float) -> str:
    """Return in one sentence what to expect next, as far ahead as it was watched."""
    if coverage.windows < _FEWEST:
        things = _PLURAL.get(dimension, f"{_SINGULAR[dimension]}s")
        return f"too few windows to tell how many new {things} to expect"
    if ahead := coverage.next:
        expected, seconds = ahead.expected, ahead.seconds
    else:
        observed = coverage.windows * window_seconds
        seconds = next((one for one, _ in HORIZONS if one <= observed), window_seconds)
        expected = expected_new(coverage, seconds / window_seconds if window_seconds else 1.0)
    name = next((name for length, name in HORIZONS if length == seconds), "window")
    singular = _SINGULAR[dimension]
    things = singular if f"{expected:.1f}" == "1.0" else _PLURAL.get(dimension, f"{singular}s")
    at_most = f" (at most {ahead.high:,})" if ahead and ahead.high > expected else ""
    return f"{_rounded(expected)} new {things} expected in the next {name}{at_most}"


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
