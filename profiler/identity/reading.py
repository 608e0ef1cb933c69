"""Bounded reads of what container runtimes keep on disk. Nothing here raises for what it finds.

A bundle may lie in a directory of an ordinary user, so a file may be a FIFO, a device, a link to
somewhere else, or grow for ever: only a regular file itself is read, without waiting, up to a
limit.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

__all__ = [
    "LIMIT_BYTES",
    "Signature",
    "below",
    "parse_object",
    "read_bytes",
    "read_object",
    "signature",
]

LIMIT_BYTES = 4 << 20

Signature = tuple[int, int, int]


def below(root: Path, path: str | Path) -> Path:
    """Return the absolute *path* as it is found under *root*, the host's file system."""
    return root / str(path).lstrip("/")


def read_bytes(path: Path, limit: int = LIMIT_BYTES) -> bytes | None:
    """Return the content of the regular file *path*; None if there is none or it is too large."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            content = file.read(limit + 1)
        except OSError:
            return None
    return content if content is not None and len(content) <= limit else None


def read_object(path: Path) -> dict[str, object] | None:
    """Return the JSON object in *path*; None if it cannot be read or holds anything else."""
    content = read_bytes(path)
    if content is None:
        return None
    return parse_object(content)


def parse_object(content: bytes | str) -> dict[str, object] | None:
    """Return *content* as a JSON object; None if it is anything else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def signature(path: Path) -> Signature | None:
    """Return what changes when *path* is replaced or written; None if it is not there."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
