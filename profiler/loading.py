"""Loads the large libraries so that they start no threads, and load nothing that nobody needs.

A thread that exists when the recorder drops its privileges keeps its own, and a fork copies
the locks that it holds. Threads that are started later are harmless: they have what is left.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import SimpleNamespace

__all__ = ["load_first", "load_rest"]

# Read when the library is loaded; the environment is put back, because commands inherit it.
_SETTINGS = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow
    # The pools of pyarrow's own keep what they once had; the C library's gives it back.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # pydantic: reads what every installed package says of itself, in search of code to run.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}


def load_first() -> None:
    """Import what a recorder needs to start; no effect where that is imported already."""
    is_first = "pyarrow" not in sys.modules
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        for name in ("numpy", "pyarrow", "ethogram.contracts.manifest"):
            importlib.import_module(name)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    if is_first:
        _without_pandas()


def load_rest() -> None:
    """Import what only windows and the end of a recording need.

    Not when they need it: the package may be another version by then.
    """
    for name in ("compute", "parquet"):
        importlib.import_module(f"pyarrow.{name}")


def _without_pandas() -> None:
    """Let pyarrow find no pandas where it is not loaded yet.

    It loads pandas to look at the first list that becomes an array: 0.2 s and 32 MiB of a recorder,
    which has none. Who asks pyarrow for a data frame still gets it, for then it looks again.
    """
    finder = SimpleNamespace(find_spec=_refuse_pandas)
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("pyarrow").array([0])
    finally:
        sys.meta_path.remove(finder)


def _refuse_pandas(name: str, *_: object) -> None:
    if name == "pandas":
        raise ModuleNotFoundError(name)
