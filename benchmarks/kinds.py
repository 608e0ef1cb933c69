"""Workloads of known truth: what comes at random, in bursts, by the clock, and never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from learner.novelty import Novelty

__all__ = ["DAY", "HOUR", "KINDS", "MINUTE", "WINDOW_S", "Jobs", "Trial", "bursts", "watch"]

WINDOW_S = 5.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_ONCE = 1e15
_Array: TypeAlias = "np.ndarray[Any, Any]"
_Random: TypeAlias = np.random.Generator


@dataclass(frozen=True)
class Jobs:
    """What a workload does. Each job comes *rate* times a second, or every *period* seconds.

    It shows *size* values that nothing else shows, within *width* windows. Before *begins* it is
    not there.
    """

    rate: _Array
    period: _Array
    size: _Array
    width: _Array
    begins: _Array


def _jobs(rate: _Array, **columns: Any) -> Jobs:
    fields = {"period": 0.0, "size": 1, "width": 1, "begins": 0.0} | columns
    return Jobs(rate, **{name: np.broadcast_to(one, rate.shape) for name, one in fields.items()})


@dataclass(frozen=True)
class Trial:
    """What was seen, how many new values *came* next, and the truth of the rest.

    *unseen* values are still to come in all; the share *quiet* of the windows to come shows
    nothing new.
    """

    novelty: Novelty
    came: int
    unseen: int
    quiet: float


def watch(random: _Random, jobs: Jobs, watched_s: float, ahead_s: float) -> Trial:
    """Watch *jobs* for *watched_s*, then for *ahead_s*."""
    first, last, times, comes = _occurrences(random, jobs, watched_s, ahead_s)
    seen = times > 0
    size = jobs.size[seen]
    first = np.floor(first / WINDOW_S) * WINDOW_S
    last = np.floor(last / WINDOW_S) * WINDOW_S + WINDOW_S * jobs.width
    novelty = Novelty(
        first=np.repeat(first[seen], size),
        last=np.repeat(np.minimum(last, watched_s)[seen], size),
        windows=np.repeat((times * jobs.width)[seen], size).astype(float),
        length_s=watched_s,
        window_s=WINDOW_S,
    )
    is_cron = (jobs.period > 0) & (jobs.period < _ONCE)
    rate = np.where(is_cron, 1 / np.where(is_cron, jobs.period, 1.0), jobs.rate)
    unseen = ~seen & (jobs.begins <= watched_s)
    return Trial(
        novelty=novelty,
        came=int(jobs.size[~seen & comes].sum()),
        unseen=int(jobs.size[~seen].sum()),
        quiet=float(np.exp(-rate[unseen].sum() * WINDOW_S)),
    )


def _occurrences(
    random: _Random, jobs: Jobs, watched_s: float, ahead_s: float
) -> tuple[_Array, _Array, _Array, _Array]:
    """Return when each job came first and last, how often, and whether it comes then."""
    watched = np.clip(watched_s - jobs.begins, 0, None)
    times = random.poisson(jobs.rate * watched)
    # The least and the greatest of so many uniform times.
    early = 1 - random.random(len(times)) ** (1 / np.maximum(times, 1))
    late = early + (1 - early) * random.random(len(times)) ** (1 / np.maximum(times - 1, 1))
    first = jobs.begins + early * watched
    last = np.where(times > 1, jobs.begins + late * watched, first)
    ahead = np.clip(watched_s + ahead_s - np.maximum(jobs.begins, watched_s), 0, None)
    comes = random.random(len(times)) < 1 - np.exp(-jobs.rate * ahead)
    by_clock = jobs.period > 0
    if not by_clock.any():
        return first, last, times, comes
    period = np.where(by_clock, jobs.period, 1.0)
    phase = np.where(period >= _ONCE, jobs.begins, random.random(len(times)) * period)
    count = np.maximum(np.floor((watched_s - phase) / period) + 1, 0).astype(int)
    end = phase + np.maximum(count - 1, 0) * period
    following = np.where(count > 0, end + period, phase)
    return (
        np.where(by_clock, phase, first),
        np.where(by_clock, end, last),
        np.where(by_clock, count, times),
        np.where(by_clock, following < watched_s + ahead_s, comes),
    )


# --- kinds ---------------------------------------------------------------------------------------


def _zipf(random: _Random, many: int, busiest: float) -> _Array:
    rates: _Array = busiest * np.arange(1, many + 1) ** -random.uniform(0.9, 1.6)
    return rates


def _settled(random: _Random, _watched_s: float) -> Jobs:
    return _jobs(random.uniform(0.01, 1, 80), size=3)


def _steady(random: _Random, _watched_s: float) -> Jobs:
    return _jobs(_zipf(random, 3000, random.uniform(0.05, 2)))


def bursts(random: _Random, _watched_s: float) -> Jobs:
    """Return jobs that show some nine values each, within one to five windows."""
    rate = _zipf(random, 400, random.uniform(0.01, 0.2))
    return _jobs(rate, size=1 + random.geometric(0.12, 400), width=random.integers(1, 6, 400))


def _cron(random: _Random, _watched_s: float) -> Jobs:
    periods = random.choice([300.0, 900.0, HOUR, 4 * HOUR, DAY], 24) * random.uniform(0.8, 1.25, 24)
    base = np.ones(200, int)
    return _jobs(
        np.concatenate([np.zeros(24), _zipf(random, 200, 0.2)]),
        period=np.concatenate([periods, np.zeros(200)]),
        size=np.concatenate([random.geometric(0.15, 24), base]),
        width=np.concatenate([random.integers(1, 4, 24), base]),
    )


def _ever_new(random: _Random, watched_s: float) -> Jobs:
    """New names at a rate that stays the same; in half of the trials each is used from then on."""
    each = random.uniform(60, 1200) * max(1.0, watched_s / DAY)
    begins = np.cumsum(random.exponential(each, 2000))
    stays = random.random() < 0.5
    return _jobs(
        np.full(2000, 0.02 if stays else 0.0),
        period=0.0 if stays else _ONCE,
        size=random.geometric(0.5, 2000),
        begins=begins,
    )


def _release(random: _Random, watched_s: float) -> Jobs:
    begins = np.concatenate([np.zeros(300), np.full(60, watched_s + 1.0)])
    return _jobs(np.concatenate([_zipf(random, 300, 0.2), _zipf(random, 60, 0.2)]), begins=begins)


def _monthly(random: _Random, watched_s: float) -> Jobs:
    begins = np.concatenate([np.zeros(80), [watched_s + 1.0]])
    size = np.concatenate([np.full(80, 3), [30]])
    return _jobs(np.concatenate([random.uniform(0.01, 1, 80), [1.0]]), size=size, begins=begins)


KINDS: Mapping[str, Callable[[_Random, float], Jobs]] = MappingProxyType(
    {
        "settled": _settled,
        "random, Zipf": _steady,
        "bursts": bursts,
        "cron": _cron,
        "ever new names": _ever_new,
        # What no observation can know: here the intervals cannot hold.
        "a release comes": _release,
        "the monthly job comes": _monthly,
    }
)
