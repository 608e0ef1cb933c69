"""Ends the threads that fsspec's backends started: they keep the privileges of their beginning."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

__all__ = ["end_threads"]

_PATIENCE_S = 10.0


def end_threads() -> None:
    """End fsspec's loop with the threads that it started; the next use of a URL begins anew."""
    asyn = sys.modules.get("fsspec.asyn")
    loop = asyn.loop[0] if asyn else None
    if asyn is None or loop is None:
        return
    for kind in _backends(asyn.AsyncFileSystem):
        kind.clear_instance_cache()  # they are bound to the loop
    thread = asyn.iothread[0]
    asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(_PATIENCE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(_PATIENCE_S)
    asyn.loop[0] = asyn.iothread[0] = None


def _backends(kind: Any) -> list[Any]:
    """Return *kind* and what is made of it."""
    return [kind, *(below for one in kind.__subclasses__() for below in _backends(one))]
