"""Waiting until no program works on a window any more that is over."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["wait_for_programs"]

_NUMBERS = {"x86_64": 324, "aarch64": 283}
_GLOBAL = 1  # MEMBARRIER_CMD_GLOBAL of <linux/membarrier.h>


def wait_for_programs() -> None:
    """Return once every program that runs now has ended: some milliseconds.

    A program that read the old window's number may be about to count in an entry of its sets; what
    it counts after the entry was read and deleted is nowhere. Programs run within an RCU read-side
    section, and membarrier(2) waits for a grace period. A kernel that refuses it leaves the race.
    """
    number = _NUMBERS.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _GLOBAL, 0, 0)
