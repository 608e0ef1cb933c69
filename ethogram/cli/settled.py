"""How settled baselines are, for a screen and for whoever waits until they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, seconds, subject_words
from ethogram.errors import EthogramError

if TYPE_CHECKING:
    from ethogram.contracts.baseline import Baseline, Curve

__all__ = ["curve_lines", "require_settled", "settled_lines"]

_BARS = "▁▂▃▄▅▆▇█"
_HOURS_A_DAY = 24
_DAYS_A_WEEK = 7


def settled_lines(baseline: Baseline) -> Iterator[str]:
    """Yield how settled *baseline* is, how many runs are missing, and what it is blind to."""
    if baseline.settled is not None:
        yield f"settled: at least {baseline.settled:.2%} of the windows to come show nothing new"
    if needed := _runs_needed(baseline):
        yield needed
    blind = baseline.blind
    if blind is None:
        return
    yield (
        f"blind: watched for {seconds(blind.watched_seconds)}; what happens less often than every "
        f"{seconds(blind.rarer_than_seconds)} may never have been seen"
    )
    gaps = [
        words
        for words, seen, whole in (
            ("hours of the day (UTC)", blind.hours_of_day, _HOURS_A_DAY),
            ("days of the week", blind.days_of_week, _DAYS_A_WEEK),
        )
        for words in [f"{len(seen)} of {whole} {words}"]
        if len(seen) < whole
    ]
    if gaps:
        yield f"blind: watched in {' and '.join(gaps)} only"


def _runs_needed(baseline: Baseline) -> str | None:
    runs = [one.runs for one in baseline.coverage.values() if one.runs]
    needed = max((one.needed for one in runs), default=0)
    if not needed:
        return None
    return (
        f"runs: {runs[0].runs:,} seen; about {count(needed, 'more run')} to know "
        f"{runs[0].target:.0%} of what a run shows"
    )


def curve_lines(baseline: Baseline) -> Iterator[str]:
    """Yield a line for each dimension whose values grew while it was watched, as a small plot."""
    curves = {name: one.curve for name, one in baseline.coverage.items() if one.curve}
    for name, curve in curves.items():
        if curve.seen[-1] > curve.seen[0] or curve.expected[-1] > curve.expected[0] + 0.5:
            known, then = curve.seen[-1], curve.expected[-1]
            yield (
                f"{name:12} {_plot(curve)}  {known:,} after {seconds(curve.seconds[_end(curve)])}, "
                f"about {then:,.0f} expected after {seconds(curve.seconds[-1])}"
            )


def _end(curve: Curve) -> int:
    return len(curve.seen) - 1


def _plot(curve: Curve) -> str:
    """Return what was seen, a bar, and what is expected then."""
    top = max(1.0, *curve.expected, *curve.seen)
    ahead = curve.expected[len(curve.seen) :]
    drawn = [_BARS[min(7, int(8 * value / top))] for value in (*curve.seen, *ahead)]
    return "".join(drawn[: len(curve.seen)]) + "|" + "".join(drawn[len(curve.seen) :])


def require_settled(baselines: Iterable[Baseline], target: float) -> None:
    """Raise `EthogramError` where a baseline is less settled than *target*, or events were lost."""
    baselines = list(baselines)
    lacking = [one for one in baselines if one.observation.losses or (one.settled or 0.0) < target]
    if not lacking:
        return
    least = min(lacking, key=lambda one: (not one.observation.losses, one.settled or 0.0))
    who = subject_words(least.subject)
    of = f"{len(lacking)} of {count(len(baselines), 'baseline')}"
    if least.observation.losses:
        raise EthogramError(
            f"{of} not settled: events of `{who}` were lost",
            hint="a recording that lost events proves nothing: record again",
        )
    raise EthogramError(
        f"{of} not settled: of the windows of `{who}` to come, at least {least.settled or 0.0:.2%} "
        f"show nothing new; asked for {target:.2%}",
        hint=_more(least, target),
    )


def _more(baseline: Baseline, target: float) -> str:
    """Return how much longer it takes, where nothing new comes meanwhile."""
    if not baseline.settled or baseline.blind is None:
        return "record for longer: too little of it was seen to say for how long"
    missing = (1 - baseline.settled) / (1 - target) - 1
    # How settled it is was judged by this time, which startup is not part of.
    curves = [one.curve for one in baseline.coverage.values() if one.curve]
    judged = max((curve.seconds[_end(curve)] for curve in curves), default=None)
    more = seconds((judged or baseline.blind.watched_seconds) * missing)
    return f"record for about {more} more, if nothing new comes meanwhile"
