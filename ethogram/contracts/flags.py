"""Bit masks that columns of a recording hold."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CHANGES", "Access", "ProcessFlag", "is_open"]


class Access(IntFlag):
    """`files.access`: how a file was opened, or what was done to its name."""

    READ = 1
    WRITE = 2
    EXEC = 4
    CREATE = 8
    TRUNCATE = 16
    APPEND = 32
    DIRECTORY = 64
    PATH_ONLY = 128
    PATH_RACY = 256
    RENAME_FROM = 512
    RENAME_TO = 1024
    UNLINK = 2048
    LINK = 4096
    SYMLINK = 8192
    MAKE = 16384
    ATTRIBUTES = 32768


CHANGES = (
    Access.RENAME_FROM | Access.RENAME_TO | Access.UNLINK | Access.LINK | Access.SYMLINK
    | Access.MAKE | Access.ATTRIBUTES
)  # fmt: skip


def is_open(access: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return which of *access* are opens. `TRUNCATE` alone is a call that truncates."""
    opened: np.ndarray[Any, Any] = ((access & CHANGES) == 0) & (access != Access.TRUNCATE)
    return opened


class ProcessFlag(IntFlag):
    """`processes.flags`: what is true of a process, and of what was recorded of it."""

    FORKED = 1
    ARGV_TRUNCATED = 2
    PATH_TRUNCATED = 4
    MEMFD = 8
    DELETED = 16
    UPPER_LAYER = 32
    PRIVILEGES_GAINED = 64
    NO_NEW_PRIVS = 128
    SECCOMP_FILTER = 256
    REDACTED = 512
    ENTERED = 1024
    CWD_TRUNCATED = 2048
    INTERPRETED = 4096
