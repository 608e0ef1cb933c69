"""Counts findings for those who look from outside, and how long each took to be told."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import get_args

from detector.options import AnomalyStatus, BaselinesStatus, ModelState
from ethogram.contracts.finding import SEVERITIES, Finding, Layer, Severity
from profiler.telemetry.reading import AnomalyReading, Distribution, WatchReading

__all__ = ["LATENCY_BOUNDS_S", "Tally", "reading_of"]

LATENCY_BOUNDS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Tally:
    """Keeps counts by layer and severity, all of them from the start: a rate needs the zero.

    *now_ns* is UTC, by the clock that events are timed with.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._findings: dict[tuple[str, str], int] = {
            (layer, severity): 0 for layer in get_args(Layer) for severity in SEVERITIES
        }
        self._suppressed = dict(self._findings)
        self._incidents: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
        self._last_s: dict[str, float] = {}
        self._latencies = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._latency_s = 0.0

    def count(self, finding: Finding) -> None:
        """Take a finding that is new, or that became graver."""
        self._findings[finding.layer, finding.severity] += 1
        self._last_s[finding.severity] = self._now_ns() / 1e9

    def suppressed(self, layer: Layer, severity: Severity) -> None:
        """Take a finding that somebody said not to tell of."""
        self._suppressed[layer, severity] += 1

    def incident(self, severity: Severity) -> None:
        """Take an incident that is new, or that became graver."""
        self._incidents[severity] += 1

    def told(self, first_ns: int) -> None:
        """Take a line that was just written about what happened at *first_ns*."""
        seconds = max(0, self._now_ns() - first_ns) / 1e9
        self._latencies[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self._latency_s += seconds

    def reading(self, baselines: BaselinesStatus) -> WatchReading:
        """Return what was counted so far, and by what it was judged."""
        return WatchReading(
            baselines=baselines.files,
            baseline_changes=baselines.changes,
            is_refused=baselines.trouble is not None,
            findings=dict(self._findings),
            suppressed=dict(self._suppressed),
            incidents={(severity,): count for severity, count in self._incidents.items()},
            last_s=dict(self._last_s),
            latency=Distribution(LATENCY_BOUNDS_S, tuple(self._latencies), self._latency_s),
        )


def reading_of(anomaly: AnomalyStatus) -> AnomalyReading:
    """Return how models stand as those who look from outside are told it."""
    states = dict.fromkeys(get_args(ModelState), 0)
    for model in anomaly.models:
        states[model.state] += 1
    return AnomalyReading(
        works=anomaly.state != "restarting",
        models=states,
        restarts=anomaly.restarts,
        windows={
            "scored": anomaly.scored,
            "withheld": anomaly.withheld,
            "dropped": anomaly.dropped,
        },
    )
