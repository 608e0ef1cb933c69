"""Memory that is free inside this process, back to the system."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

__all__ = ["give_back_memory"]


def give_back_memory() -> None:
    """Let the C library return what a window took: it keeps pages for the next one else."""
    if trim := _trim():
        trim(0)


@lru_cache(maxsize=1)
def _trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; musl has none
