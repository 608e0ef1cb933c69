"""The threshold of an alert budget, and what the same procedure did on time that it did not see.

The second looks back: a model is fitted to the first three fifths of the time, and one to the first
four. Each gets its threshold from its own held-out windows, and meets the fifth that follows. Those
episodes stand beside the promise, because it may fail: what a workload does may change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ethogram.contracts.alert_models import AlertBudget, RealisedRate
from learner.budget import Budget, Threshold, realised, threshold

if TYPE_CHECKING:
    from learner.anomaly import AnomalyModel
    from learner.windows import SteadyWindows

__all__ = [
    "MIN_WINDOWS",
    "alerts_of",
    "held_out_blocks",
    "time_folds",
    "with_most_new",
    "with_realised",
]

MIN_WINDOWS = 8
FOLDS = 5
_ORIGINS = (3, 4)  # folds that are known; the next one is not

Scores = npt.NDArray[np.float64]


def time_folds(windows: SteadyWindows) -> npt.NDArray[np.int64]:
    """Return the fold of each window: as many stretches of time, whichever instance it is of."""
    start = windows.index.start_ns.to_numpy(np.int64)
    edges = np.quantile(start, np.arange(1, FOLDS) / FOLDS)
    folds = np.searchsorted(edges, start, side="right")
    if len(np.unique(folds)) > 1:
        return folds
    return np.arange(len(windows)) * FOLDS // len(windows)


def held_out_blocks(windows: SteadyWindows, scores: Scores) -> list[Scores]:
    """Return *scores* of windows that follow each other in one instance, as one array each."""
    index = windows.index
    who = index.groupby(["recording_id", "instance_key"], sort=True).ngroup().to_numpy()
    order = np.lexsort((index.window.to_numpy(), who))
    window, who = index.window.to_numpy()[order], who[order]
    breaks = np.flatnonzero((np.diff(who) != 0) | (np.diff(window) != 1)) + 1
    return np.split(scores[order], breaks)


def alerts_of(windows: SteadyWindows, held_out: Scores, budget: Budget) -> AlertBudget:
    """Return the threshold at which *held_out* scores of *windows* promise to keep *budget*."""
    blocks = held_out_blocks(windows, held_out)
    found = threshold(blocks, budget, window_s=_window_s(windows))
    if isinstance(found, Threshold):
        return AlertBudget(
            budget=budget.text,
            state="ready",
            # Downwards, to what the file holds of it: nothing that was not flagged becomes so.
            threshold=math.floor(found.score * 1e6) / 1e6,
            expected=found.promised * budget.seconds,
            episodes=found.episodes,
            seconds=found.seconds,
        )
    return AlertBudget(
        budget=budget.text, state="insufficient", seconds=found.seconds, needs_seconds=found.missing
    )


def with_realised(
    alerts: AlertBudget,
    windows: SteadyWindows,
    budget: Budget,
    fit: Callable[[SteadyWindows], AnomalyModel],
) -> AlertBudget:
    """Return *alerts* with what models that *fit* makes of earlier *windows* did on later ones.

    Or with how much more has to be watched for that. Nothing is added where there is no threshold,
    nor where no window is later than another.
    """
    start = windows.index.start_ns.to_numpy()
    if alerts.state != "ready" or (start == start[0]).all():
        return alerts
    folds = time_folds(windows)
    scores, seconds, promised = [], 0.0, 0.0
    for origin in _ORIGINS:
        known, unseen = (np.flatnonzero(each) for each in (folds < origin, folds == origin))
        if not len(unseen) or _lacks(len(known), windows, budget):
            continue
        earlier, later = windows.alone(known), windows.take(unseen)
        model = fit(earlier)
        own = alerts_of(earlier, model.ensemble.held_out, budget)
        if own.threshold is None or own.expected is None:
            continue
        blocks = held_out_blocks(later, model.score(later))
        scores += [block - own.threshold for block in blocks]
        watched = _window_s(later) * len(later)
        seconds += watched
        promised += own.expected * watched
    if not scores:
        lacks = _lacks(int((folds < FOLDS - 1).sum()), windows, budget) * FOLDS / (FOLDS - 1)
        return alerts.model_copy(update={"realised_needs_seconds": lacks})
    found = realised(scores, 0.0, window_s=seconds / sum(map(len, scores)))
    rate = RealisedRate(
        episodes=found.episodes,
        seconds=seconds,
        promised=promised / seconds,
        rate=found.rate * budget.seconds,
        low=found.low * budget.seconds,
        high=found.high * budget.seconds,
    )
    return alerts.model_copy(update={"realised": rate})


def with_most_new(alerts: AlertBudget, windows: SteadyWindows) -> AlertBudget:
    """Return *alerts* with the most sequences that are new in any held-out window.

    Nothing is added where there is no threshold: the time is too short for the budget, or where no
    sequences were recorded.
    """
    grams, folds = windows.grams, time_folds(windows)
    if alerts.state != "ready" or not len(grams.ids) or len(np.unique(folds)) < 2:
        return alerts
    rows = np.repeat(np.arange(len(windows)), np.diff(grams.starts))
    seen = np.zeros((FOLDS, len(grams.table)), np.bool_)
    seen[folds[rows], grams.ids] = True
    is_lone = seen.sum(axis=0) == 1
    new = np.bincount(rows, is_lone[grams.ids], minlength=len(windows))
    return alerts.model_copy(update={"most_new": int(new.max())})


def _lacks(known: int, windows: SteadyWindows, budget: Budget) -> float:
    """Return how many seconds *known* of *windows* are short of a model with a threshold."""
    window_s = _window_s(windows)
    return max(budget.missing(known * window_s), (MIN_WINDOWS - known) * window_s, 0.0)


def _window_s(windows: SteadyWindows) -> float:
    return float(windows.index.seconds.mean())
