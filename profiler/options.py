"""What the recorder is asked to do, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from profiler.targets import Targets

__all__ = ["RecordOptions", "RecordResult"]


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What to record, where to, and how.

    *duration_s* None: until stopped, or until the command ends. *max_loss* is for the caller.
    """

    output: Path
    targets: Targets
    window_ms: int = 5000
    duration_s: float | None = None
    inventory: Path | None = None
    loader: Literal["auto", "core", "bcc"] = "auto"
    tier: Literal["full", "light"] = "full"
    keep_args: bool = False
    ready_file: Path | None = None
    max_loss: int | None = None
    cluster: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What a recording came to. *command_exit* is negative where a signal ended the command."""

    recording: Path
    windows: int
    workloads: int
    calls: int
    lost: int
    command_exit: int | None
    clean: bool
