"""How a watch stands, in a file that is replaced after each window, for probes."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ethogram.cli.screen import say
from ethogram.contracts.durable import replace_file
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detector.options import WindowStatus, WorkloadStatus
    from detector.sinks.outbox import SinkStatus
    from profiler.options import Keeping

__all__ = ["STATUS_SCHEMA", "StatusFile"]

STATUS_SCHEMA = "ethogram.watch-status/1"


class StatusFile:
    """Keeps *path* up to date, readable by everybody; a `UsageError` where it cannot be made.

    So it is where the first window may not replace it. Other failures, of a full disk for instance,
    do not end the watch: they are said once, and the time in the file says how old it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_kept = False
        self._has_begun = False
        self._is_failing = False
        self._last: dict[str, Any] = {}
        self._write("starting")

    def take(self, status: WindowStatus, sinks: Sequence[SinkStatus] = ()) -> None:
        """Say how things stand after a window, and how the *sinks* do."""
        self._last = {
            "windows": status.window + 1,
            "calls": status.calls,
            "lost": status.lost,
            "findings": status.findings,
            "incidents": status.incidents,
            "suppressions": None if status.suppressions is None else asdict(status.suppressions),
            "workloads": _workloads(status.workloads),
            "baselines": None if status.baselines is None else asdict(status.baselines),
            "recording": None if status.recording is None else asdict(status.recording),
            "sensor": None if status.sensor is None else asdict(status.sensor),
            "anomaly": None if status.anomaly is None else asdict(status.anomaly),
            "failing": [asdict(one) for one in status.failing],
            "sinks": [asdict(one) for one in sinks],
        }
        self._write("watching")
        self._is_kept = True

    def end(self, sinks: Sequence[SinkStatus] = (), recording: Keeping | None = None) -> None:
        """Say that nobody watches any more, and how the *sinks* and the *recording* were left."""
        if recording is not None:
            self._last["recording"] = asdict(recording)
        if sinks:
            self._last["sinks"] = [asdict(one) for one in sinks]
        self._is_kept = True  # whatever ended the watch is what to tell
        self._write("ended")

    def _write(self, state: Literal["starting", "watching", "ended"]) -> None:
        document = {
            "schema": STATUS_SCHEMA,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "pid": os.getpid(),
            "state": state,
            **self._last,
        }
        data = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        try:
            replace_file(self._path, data, mode=0o644, sync=False)
        except OSError as error:
            self._failed(error)
        else:
            self._is_failing = False
            self._has_begun = True

    def _failed(self, error: OSError) -> None:
        why = os.strerror(error.errno or 0).lower()
        message = f"`{self._path}` cannot be written: {why}"
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} and self._has_begun
        if not self._is_kept and not is_full:
            hint = "name another place for `--status`"
            if error.errno in {errno.EACCES, errno.EPERM}:
                hint += ", in a directory of root's: a watch gives up the privilege to write others"
            raise UsageError(message, hint=hint) from error
        if not self._is_failing:
            say(f"warning: {message}; it stays as it is until it can be")
        self._is_failing = True


def _workloads(statuses: Sequence[WorkloadStatus]) -> list[dict[str, Any]]:
    return [
        {
            "workload": one.subject.model_dump(mode="json", exclude_none=True),
            "state": one.state,
            "reason": one.reason,
            "baseline": None if one.baseline is None else str(one.baseline),
            "instances": one.instances,
            "findings": one.findings,
        }
        for one in statuses
    ]
