"""What a watch is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from detector.sensor.reading import SensorStatus
from detector.suppressions import SuppressionsStatus
from ethogram.contracts.baseline import Subject
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.finding import Severity, WorkloadState
from profiler.options import Keeping, SessionOptions, Storage

__all__ = [
    "AnomalyStatus",
    "BaselinesStatus",
    "ModelState",
    "ModelStatus",
    "RuleTrouble",
    "Unknown",
    "WatchOptions",
    "WatchResult",
    "WindowStatus",
    "WorkloadStatus",
]

Unknown = Literal["ignore", "record", "alert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions(SessionOptions):
    """Which baselines to watch by; *environment* is the map to where they are watched.

    *unknown*: what is done about workloads that no baseline is for. *storage*: where the watch is
    recorded; of unknown workloads alone where *records_all* is false.
    *anomaly_bytes* is how much memory the process may map that asks their models, 0: none are.
    """

    baselines: tuple[BaselineFile, ...]
    environment: Path | None = None
    unknown: Unknown = "ignore"
    storage: Storage | None = None
    records_all: bool = True
    anomaly_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """How one workload stands: *reason* says in a sentence why it is in *state*."""

    subject: Subject
    state: WorkloadState
    reason: str
    baseline: BaselineFile | None
    instances: int
    findings: int


@dataclass(frozen=True, slots=True)
class BaselinesStatus:
    """Which baselines are judged by: so many *files* since *loaded*, ISO UTC.

    *changes* counts how often others took their place. *trouble* is why what is there now was
    refused, and None where it is what is judged by.
    """

    files: int
    loaded: str
    changes: int = 0
    trouble: str | None = None


ModelState = Literal["loading", "scoring", "insufficient", "refused"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How the model beside one *baseline* stands: `insufficient` and `refused` tell nothing."""

    baseline: str
    model: str
    state: ModelState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AnomalyStatus:
    """How the process stands that asks models; counts are totals since the watch began.

    *scored* are windows as long as a model's, *withheld* those that were not scored because part
    of them was not seen; *dropped* are windows of the watch that it was not given. *trouble* is
    why it ended last, until it has scored again.
    """

    state: Literal["off", "idle", "starting", "scoring", "restarting"]
    pid: int | None = None
    restarts: int = 0
    scored: int = 0
    withheld: int = 0
    dropped: int = 0
    trouble: str | None = None
    models: tuple[ModelStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleTrouble:
    """An indicator *rule* that could not be asked, *failures* times, and why it was so last."""

    rule: str
    failures: int
    trouble: str


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """What a window came to; the counts are totals since the watch began."""

    window: int
    calls: int
    lost: int
    findings: int
    workloads: tuple[WorkloadStatus, ...]
    baselines: BaselinesStatus | None = None
    incidents: int = 0
    suppressions: SuppressionsStatus | None = None
    recording: Keeping | None = None
    sensor: SensorStatus | None = None
    anomaly: AnomalyStatus | None = None
    failing: tuple[RuleTrouble, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchResult:
    """What a watch came to.

    *worst* is the gravest severity of any finding, *unmatched* are files of baselines that no
    workload was found for. *command_exit* is negative where a signal ended the command. *losses*
    are by kind, place and workload.
    """

    windows: int
    calls: int
    lost: int
    findings: int
    worst: Severity | None
    workloads: tuple[WorkloadStatus, ...]
    unmatched: tuple[BaselineFile, ...]
    command_exit: int | None
    incidents: int = 0
    suppressions: SuppressionsStatus | None = None
    recording: Keeping | None = None
    anomaly: AnomalyStatus | None = None
    losses: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
