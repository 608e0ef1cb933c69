"""Memory barriers from Python, for machines that do not keep loads in order."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import lru_cache
from typing import Any

from ethogram.errors import PreflightError

__all__ = ["KEEPS_ORDER", "barrier"]

# x86-64 lets no load overtake another, and no store a load before it.
KEEPS_ORDER = platform.machine() == "x86_64"

_CALL = {"x86_64": 324, "aarch64": 283}
_PRIVATE_EXPEDITED, _REGISTER_PRIVATE_EXPEDITED = 1 << 3, 1 << 4


@lru_cache(maxsize=1)
def _membarrier() -> Any:
    """Return libc's syscall(), once membarrier(2) may be used in its quick form."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    number = _CALL.get(platform.machine())
    if number is None or call(number, _REGISTER_PRIVATE_EXPEDITED, 0, 0):
        reason = os.strerror(ctypes.get_errno()) if number else "not known for this machine"
        raise PreflightError(f"memory cannot be kept in order: membarrier: {reason}")
    return call


def barrier() -> None:
    """Let no load or store of this thread before the call be done after one behind it."""
    _membarrier()(_CALL[platform.machine()], _PRIVATE_EXPEDITED, 0, 0)
