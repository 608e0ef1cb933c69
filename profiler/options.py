"""What the recorder is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ethogram.contracts.manifest import Stopped
from ethogram.contracts.redaction_file import RedactionRule
from ethogram.contracts.remote import RecordingUrl
from profiler.loaders.base import Tier
from profiler.rotation import Rotation
from profiler.targets import Targets

__all__ = [
    "ClusterOptions",
    "Keeping",
    "KeepingState",
    "RecordOptions",
    "RecordResult",
    "SessionOptions",
    "Storage",
    "UploadOptions",
]

KeepingState = Literal["recording", "full", "failed", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Where names of the cluster come from while a session runs.

    *kubeconfig* None: the one that kubectl would take; *context* None: its current one. *node*: the
    pods of that node alone are asked for. *kubelet* is the URL of a kubelet.
    """

    kind: Literal["in-cluster", "kubeconfig", "kubelet"]
    kubeconfig: Path | None = None
    context: str | None = None
    kubelet: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Whom to watch, and how.

    *duration_s* None: until stopped, or until the command ends. *startup_ms*: what has not become
    steady by itself is taken for it then. *spares_stdout*: what the command prints goes to standard
    error. *tell* takes lines on what went wrong beside, once each. *is_recorded*: every row is
    wanted, whatever is known of it. *all_rows*: rows of processes and connections are wanted of who
    behaves, too. *looks*: what is done for the first time is handed on at once, before its window
    ends; *knows_grams*: so are sequences of calls that a model does not know.
    """

    targets: Targets
    window_ms: int = 5000
    duration_s: float | None = None
    startup_ms: int = 60_000
    inventory: Path | None = None
    loader: Literal["auto", "core", "bcc"] = "auto"
    tier: Tier = "full"
    keep_args: bool = False
    redaction: tuple[RedactionRule, ...] = ()
    ready_file: Path | None = None
    cluster: str | None = None
    kubernetes: ClusterOptions | None = None
    tell: Callable[[str], None] = field(default=lambda _line: None, compare=False)
    spares_stdout: bool = False
    is_recorded: bool = False
    all_rows: bool = False
    looks: bool = False
    knows_grams: bool = False

    @property
    def node(self) -> str | None:
        """Return what the cluster calls this host: in a pod its own name is the pod's."""
        return self.kubernetes.node if self.kubernetes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """Where a recording waits on its way to a URL, how much of it, and how long at the end."""

    spool: Path | None = None
    spool_bytes: int = 1 << 30
    patience_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where a recording is written to, and how; *upload* is for a URL."""

    output: Path | RecordingUrl
    upload: UploadOptions = field(default_factory=UploadOptions)
    rotation: Rotation = field(default_factory=Rotation)
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions(SessionOptions):
    """What to record, where to, and how. *max_loss* is for the caller, *upload* for a URL.

    *until_settled* is what the caller's `Until` aims at, for the manifest.
    """

    output: Path | RecordingUrl
    upload: UploadOptions = field(default_factory=UploadOptions)
    rotation: Rotation = field(default_factory=Rotation)
    max_loss: int | None = None
    until_settled: float | None = None
    force: bool = False
    is_recorded: bool = True

    @property
    def storage(self) -> Storage:
        """Return what of this is about files."""
        return Storage(
            output=self.output, upload=self.upload, rotation=self.rotation, force=self.force
        )


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What a recording came to. *command_exit* is negative where a signal ended the command.

    *losses* are by kind, place and key of the workload, which is empty where it is not known.
    *loader_reason*: why another loader was taken than `core`, where it was not asked for.
    *stopped*: what ended it.
    """

    recording: Path | RecordingUrl
    windows: int
    workloads: int
    calls: int
    lost: int
    losses: dict[tuple[str, str, str], int]
    command_exit: int | None
    clean: bool
    loader_reason: str | None = None
    stopped: Stopped = "asked"


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a recording stands that is kept beside a watch.

    *lost* and *waiting* are rows; *trouble* is why it failed. While it is `full`, rows are lost.
    """

    place: str
    recording_id: str
    state: KeepingState
    windows: int
    lost: int
    waiting: int
    trouble: str | None = None
