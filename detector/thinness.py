"""Why what a baseline lacks may be normal all the same, and of which dimensions that holds.

It is **thin** as a whole where something of the time it was learnt from was not seen, where that
time is so short that `learn` writes it only when told to, and where new programs or system calls
are still to be expected: a new program does everything else anew, too. Where only files, say, are
not settled, what strays in other dimensions strays all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ethogram.contracts.baseline import DIMENSIONS, Baseline, Dimension, Observation
from ethogram.contracts.quality import grounds_of, needed_allowances, reason_words, states_of
from ethogram.contracts.reach import dimensions_in_words
from learner.coverage import expected_new

__all__ = ["EVERYTHING", "Thin", "thinness"]

EVERYTHING = frozenset(DIMENSIONS)
# More new values than this are expected of as many windows again as the baseline was learnt from.
_SETTLED = 1.0
_FEWEST_WINDOWS = 2
# What is new in these is new code.
_CODE: tuple[Dimension, ...] = ("execs", "syscalls")


@dataclass(frozen=True, slots=True)
class Thin:
    """Why a baseline is thin, and in which *dimensions* what it lacks may be normal."""

    reason: str
    dimensions: frozenset[Dimension] = EVERYTHING


def thinness(baseline: Baseline) -> Thin | None:
    """Return why, and in what, *baseline* is thin; None where it is settled."""
    if reason := next(_short_of(baseline), None):
        return Thin(reason)
    expected = {
        dimension: found
        for dimension, coverage in baseline.coverage.items()
        if (found := expected_new(coverage, coverage.windows)) > _SETTLED
    }
    if not expected:
        return None
    names = [name for name in DIMENSIONS if name in expected]
    reason = (
        f"the baseline is not settled: {sum(expected.values()):.1f} new "
        f"{dimensions_in_words(names)} are expected of as long a time again"
    )
    return Thin(reason, EVERYTHING if expected.keys() & set(_CODE) else frozenset(names))


def _short_of(baseline: Baseline) -> Iterator[str]:
    observation = baseline.observation
    states = states_of(observation)
    if "lossy" in states or observation.losses:
        yield "the baseline was learnt from recordings that lost events"
    if observation.not_observed:
        words = dimensions_in_words(observation.not_observed)
        yield f"the baseline was learnt without a look at {words}"
    if "partial" in states:
        yield "the baseline was learnt from part of its life: no start was seen, or not all of it"
    if "thin" in needed_allowances(observation):
        yield f"the baseline was learnt from too little: {_too_little(observation)}"
    if max((one.windows for one in baseline.coverage.values()), default=0) < _FEWEST_WINDOWS:
        yield "the baseline was learnt from too few windows to tell what is still to come"


def _too_little(observation: Observation) -> str:
    reasons = grounds_of(observation).get("thin", ())
    words = "; ".join(reason_words(observation, one) for one in reasons)
    return words or "`learn` was told to allow it"
