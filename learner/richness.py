"""How much there is in all, and how many more runs show most of it: Chao's lower bounds.

Sources: Good (1953), Biometrika 40; Chao (1987), Biometrics 43, for the lower bound and its
logarithmic interval; Chao and Jost (2012), Ecology 93, for coverage and its extrapolation; Coleman
(1981), Mathematical Biosciences 54, for the curve; Chao and others (2014), Ecological Monographs
84, for both on one curve.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ethogram.contracts.baseline import Curve, InAll, Runs
from learner.counts import dispersion, mixed_poisson_bounds
from learner.novelty import Novelty

__all__ = ["TARGET", "curve_of", "in_all_of", "runs_of"]

TARGET = 0.99
_DIGITS = 6
_PRIOR = 0.5
_MOST_RUNS = 1_000_000
_PARTS = (0.125, 0.25, 0.5, 0.75, 1.0)
_AHEAD = (1.5, 2.0)


def in_all_of(novelty: Novelty) -> InAll:
    """Return how much is unseen in all, from stretches: Chao's estimate with its interval."""
    at_once, samples, unseen = novelty.burst, novelty.blocks, novelty.unseen
    if unseen <= 0:
        return InAll(unseen=0.0, low=0.0, high=0.0)
    k1, k2 = novelty.lone / at_once, novelty.twice / at_once
    part = (samples - 1) / samples
    if k2:
        ratio = k1 / k2
        variance = k2 * (part / 2 * ratio**2 + part**2 * ratio**3 + part**2 / 4 * ratio**4)
    else:
        variance = part * k1 * (k1 - 1) / 2 + part**2 * k1 * (2 * k1 - 1) ** 2 / 4
        variance -= part**2 * k1**4 / (4 * (len(novelty.first) + unseen) / at_once)
    relative = max(0.0, variance) * at_once**2 / unseen**2
    wide = math.exp(1.96 * math.sqrt(math.log1p(relative)))
    return InAll(unseen=round(unseen, 3), low=round(unseen / wide, 3), high=round(unseen * wide, 3))


def runs_of(
    counts: Sequence[int], lone_runs: Sequence[object], runs: int, target: float = TARGET
) -> Runs | None:
    """Return the outlook on the next run, None of fewer than two.

    *counts* says in how many of *runs* each value was seen, *lone_runs* in which, for those that
    were seen in one.
    """
    if runs < 2 or not counts:
        return None
    f1, f2 = len(lone_runs), sum(count == 2 for count in counts)
    by_run = np.zeros(runs)
    found = sorted(Counter(lone_runs).values(), reverse=True)
    by_run[: len(found)] = found[:runs]
    at_once = dispersion(by_run)
    low, high = mixed_poisson_bounds(f1 / at_once + _PRIOR, 1 / runs)
    unknown = f1 / sum(counts)
    # Where nothing was seen twice, one value is taken to have been.
    kept = (runs - 1) * f1 / ((runs - 1) * f1 + 2 * max(f2, 1)) if f1 else 0.0
    return Runs(
        runs=runs,
        f1=f1,
        f2=f2,
        probability=round(1 - (1 + 1 / runs) ** -(len(found) + _PRIOR), _DIGITS),
        expected=round(f1 / runs, _DIGITS),
        low=math.floor(low * at_once),
        high=math.ceil(high * at_once),
        covered=round(1 - unknown * kept, _DIGITS),
        target=target,
        needed=_needed(unknown, kept, target),
    )


def _needed(unknown: float, kept: float, target: float) -> int:
    """Return the least t with `1 - unknown * kept ** (t + 1)` at *target* or more."""
    if unknown * kept <= 1 - target:
        return 0
    runs = math.log((1 - target) / unknown) / math.log(kept) - 1
    return min(_MOST_RUNS, max(1, math.ceil(runs - 1e-9)))


def curve_of(novelty: Novelty, before: int) -> Curve:
    """Return how the number of values grew, and how it is expected to grow.

    *before* is how many were known from the start.
    """
    length, known = novelty.length_s, before + len(novelty.first)
    rarefied = [before + float((1 - (1 - part) ** novelty.windows).sum()) for part in _PARTS]
    ahead = [known + novelty.expected((part - 1) * length) for part in _AHEAD]
    return Curve(
        seconds=tuple(round(part * length, 3) for part in (*_PARTS, *_AHEAD)),
        seen=tuple(before + int((novelty.first < part * length + 1e-6).sum()) for part in _PARTS),
        expected=tuple(round(value, 2) for value in (*rarefied, *ahead)),
    )
