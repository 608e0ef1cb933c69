"""Opening what lies in a directory, whatever it is: a pipe would wait for ever."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

__all__ = ["open_plain"]


def open_plain(path: Path) -> BufferedReader:
    """Return the regular file *path*, open for reading; `OSError` where it is anything else."""
    # A pipe opened for reading waits for a writer otherwise.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no plain file", str(path))
