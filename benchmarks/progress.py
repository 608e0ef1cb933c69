"""Where long work has come to, on standard error: standard output is for what was measured."""

from __future__ import annotations

import sys
import time

__all__ = ["say"]

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Tell where we are, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)
