"""Records what workloads do, with programs in the kernel, and names who did it.

`record` writes a recording; a `Session` hands the same rows to a `Sink`, window by window.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from profiler.loading import load_first

load_first()

if TYPE_CHECKING:
    from profiler.options import RecordOptions, RecordResult, SessionOptions
    from profiler.recorder import record
    from profiler.session import Session
    from profiler.sink import Sink
    from profiler.targets import Targets
    from profiler.window import WindowReport

__all__ = [
    "RecordOptions",
    "RecordResult",
    "Session",
    "SessionOptions",
    "Sink",
    "Targets",
    "WindowReport",
    "record",
]
_MODULES = {
    "RecordOptions": "options",
    "RecordResult": "options",
    "Session": "session",
    "SessionOptions": "options",
    "Sink": "sink",
    "Targets": "targets",
    "WindowReport": "window",
    "record": "recorder",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: a watch needs no Parquet, a name of a cgroup no kernel."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"profiler.{_MODULES[name]}"), name)
