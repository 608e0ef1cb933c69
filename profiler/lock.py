"""One writer a recording: a lock on its directory, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ethogram.errors import CaptureError

__all__ = ["lock_directory"]


def lock_directory(directory: Path) -> int:
    """Return a descriptor that locks *directory* until it is closed.

    `CaptureError` where another process has it: that recording is still being written.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise CaptureError(
            f"`{directory}` is being written by another process",
            hint="wait until that recording has ended",
        ) from error
    return descriptor
