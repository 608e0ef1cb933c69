"""Memory that is free inside this process, back to the system."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

__all__ = ["give_back_memory"]

_MMAP_THRESHOLD, _DEFAULT_BYTES = -3, 128 << 10  # malloc.h; the value that glibc begins with


def give_back_memory() -> None:
    """Let the C library return what a window took: it keeps pages for the next one else."""
    if trim := _trim():
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Any:
    libc = ctypes.CDLL(None)
    trim = getattr(libc, "malloc_trim", None)  # of glibc; musl has none
    if trim is not None:
        # Once set it stays: it would grow with each large array that is freed, until windows'
        # arrays lay among small things and could not be given back.
        libc.mallopt(_MMAP_THRESHOLD, _DEFAULT_BYTES)
    return trim
