"""Loads the libraries that start threads when they are imported, so that they start none.

A thread that exists when the recorder drops its privileges keeps its own, and a fork copies
the locks that it holds. Threads that are started later are harmless: they have what is left.
"""

from __future__ import annotations

import importlib
import os

__all__ = ["import_without_threads"]

# Read once, when the library is loaded; the environment is put back, because commands inherit it.
_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow
    # The pools of pyarrow's own keep what they once had; the C library's gives it back.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


def import_without_threads() -> None:
    """Import numpy and pyarrow; no effect where they are imported already."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        for name in ("numpy", "pyarrow"):
            importlib.import_module(name)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
