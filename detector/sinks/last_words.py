"""What is told of a watch that was killed: by the sender, which outlives it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from detector.sinks.destination import SEVERITIES, Destination
from detector.sinks.spool import SpoolWriter
from ethogram.errors import UsageError

__all__ = ["say_last"]

_TRIES, _TRY_S = 40, 0.05


def say_last(line: str, sinks: Sequence[Mapping[str, str]]) -> None:
    """Put the finding *line* into the spools of *sinks*, as of now.

    A spool that another watch writes to by now is left alone: that one tells of it itself.
    """
    finding = json.loads(line)
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    finding.update(time=now, first_seen=now, last_seen=now)
    severity = finding["severity"]
    for sink in sinks:
        destination = Destination.parse(sink["url"])
        least = destination.chosen("severity", SEVERITIES[0])
        if SEVERITIES.index(severity) < SEVERITIES.index(least):
            continue
        spool = _spool(Path(sink["directory"]), destination.size("spool-size", "64MB"))
        if spool:
            spool.add(json.dumps(finding, ensure_ascii=False), is_new=True, severity=severity)
            spool.close()


def _spool(directory: Path, limit_bytes: int) -> SpoolWriter | None:
    """Return the spool once the watch that was killed has let go of it; None where it is not ours.

    The kernel closes what a killed process had open a moment after its end of the pipe.
    """
    for _ in range(_TRIES):
        with suppress(OSError, UsageError):
            return SpoolWriter(directory, limit_bytes)
        time.sleep(_TRY_S)
    return None
