"""Recordings of one run each in a directory: what a new one is called, which are too old."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ethogram.contracts.file_names import MANIFEST_NAME
from ethogram.errors import EthogramError
from profiler.directory import delete_recording
from profiler.lock import lock_directory
from profiler.rotation import Retention

__all__ = ["drop_earlier", "name_of_run"]

_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z\Z")


def name_of_run(now: datetime) -> str:
    """Return what the recording of a run is called that begins *now*; names sort by time."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H%M%S.%fZ}"


def drop_earlier(place: Path, retain: Retention, *, now_ns: int) -> list[Path]:
    """Delete the recordings of earlier runs in *place* that *retain* does not keep; return them.

    By age those that were last written so long before *now_ns*, UTC; by size the oldest of more
    than that together. What another process writes stays, and so does what no run made.
    """
    runs = list(_runs(place))
    if retain.kind == "age":
        old = [path for path, written_ns, _ in runs if written_ns < now_ns - retain.limit]
    else:
        old, kept = [], 0
        for path, _, size_bytes in reversed(runs):
            kept += size_bytes
            if kept > retain.limit:
                old.append(path)
    return [path for path in sorted(old) if _delete(path)]


def _runs(place: Path) -> Iterator[tuple[Path, int, int]]:
    """Yield runs in *place*, the oldest first: path, when it was last written, how large it is."""
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        manifest = path / MANIFEST_NAME
        if _NAME.match(path.name) and not path.is_symlink() and manifest.is_file():
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            yield path, manifest.stat().st_mtime_ns, size


def _delete(path: Path) -> bool:
    try:
        lock = lock_directory(path)
    except EthogramError:
        return False  # another process writes it
    try:
        delete_recording(path)
        path.rmdir()
    except OSError:
        return False  # somebody put something else there, or it went meanwhile
    finally:
        os.close(lock)
    return True
