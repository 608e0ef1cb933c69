"""How a session stood after its last window: what the thread that serves it is given.

A reading is never changed. The sensor replaces it after each window, and whoever serves it takes
the one that is there: neither waits for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profiler.options import Keeping

__all__ = [
    "AnomalyReading",
    "Distribution",
    "Reading",
    "SensorReading",
    "SinkReading",
    "WatchReading",
]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many values were at most as large as each of *bounds*; the last count is of the rest."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkReading:
    """One sink: the *number* of its option, from 1. Its place is left out: it may be a secret."""

    sink: str
    number: int
    works: bool
    sent: int
    refused: int
    damaged: int
    dropped: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReading:
    """What was done to the sensor: how often by rule, and when *last_s*, UTC; zeroes included.

    *changed* counts programs that do not run as they were attached. *gap_s*: how long nobody
    watched before this watch, by why; empty where that is not known. *heard_s*: when the last sign
    of the kernel side came, UTC, None before the first.
    """

    findings: Mapping[str, int]
    last_s: Mapping[str, float]
    changed: int = 0
    gap_s: Mapping[str, float] = field(default_factory=dict)
    heard_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyReading:
    """The models of baselines by how they stand, and the process that asks them.

    *windows* are by what became of them.
    """

    works: bool
    models: Mapping[str, int]
    restarts: int
    windows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReading:
    """What only a watch has. *last_s*: when a finding of that severity was last told, UTC.

    *is_refused*: the baselines that are there now are not those that are judged by. *recording*:
    how the recording stands that is kept beside it. *may_lack_baselines*: it began without any.
    """

    baselines: int
    baseline_changes: int
    is_refused: bool
    findings: Mapping[tuple[str, str], int]
    suppressed: Mapping[tuple[str, str], int]
    incidents: Mapping[tuple[str], int]
    last_s: Mapping[str, float]
    latency: Distribution
    recording: Keeping | None = None
    sensor: SensorReading | None = None
    may_lack_baselines: bool = False
    anomaly: AnomalyReading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Totals since the session began, unless said otherwise.

    *tick_s* is when this was read, by the monotonic clock; *ended_s* when the last window ended,
    UTC, None before. *refused* names the programs that the kernel refused and that were needed.
    """

    command: str
    version: str
    loader: str
    tier: str
    window_s: float
    tick_s: float
    ended_s: float | None = None
    windows: int = 0
    programs: Mapping[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    events: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    losses: Mapping[tuple[str, str], int] = field(default_factory=dict)
    workloads: Mapping[str, int] = field(default_factory=dict)
    watch: WatchReading | None = None
    sinks: tuple[SinkReading, ...] = ()
