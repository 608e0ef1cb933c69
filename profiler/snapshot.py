"""What /proc says of processes that ran before recording began: the kernel side cannot read it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["arguments_of", "working_directory_of"]

_MAX_BYTES = 4096


def arguments_of(tgid: int) -> bytes:
    """Return the arguments of a process, NUL after each, at most 4096 bytes; none if it is gone."""
    try:
        with Path(f"/proc/{tgid}/cmdline").open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError:
        return b""


def working_directory_of(tgid: int) -> bytes:
    """Return the working directory of a process as it sees it; empty if it is gone or hidden."""
    try:
        return os.fsencode(Path(f"/proc/{tgid}/cwd").readlink())
    except OSError:
        return b""
