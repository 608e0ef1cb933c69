"""Runs `ethogram` and says in the end what its time went to: `staged.py BEGAN WORDS...`.

BEGAN is when the process was started, by the monotonic clock. The last line of standard error is
JSON: the seconds of each stage of the start, and of draining and of writing each window. Nothing
is done that the recorder does not do anyway.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
# Stage -> the seconds of each time it was entered.
_SPENT: defaultdict[str, list[float]] = defaultdict(list)


def _told(stage: str, owner: type, name: str) -> None:
    """Let each call of *owner*'s method *name* note its seconds for *stage*."""
    wrapped: Callable[..., Any] = getattr(owner, name)

    @wraps(wrapped)
    def call(*args: Any, **options: Any) -> Any:
        began = time.monotonic()
        try:
            return wrapped(*args, **options)
        finally:
            _SPENT[stage].append(time.monotonic() - began)

    is_bound = hasattr(wrapped, "__self__")
    setattr(owner, name, staticmethod(call) if is_bound else call)


def _tell_of_watch() -> None:
    """Let the stages of a watch note their seconds."""
    from detector.judge import Judge  # noqa: PLC0415
    from detector.live import Live  # noqa: PLC0415
    from detector.watched import Watched  # noqa: PLC0415
    from profiler.loaders.core import CoreLoader  # noqa: PLC0415
    from profiler.registry import Registry  # noqa: PLC0415
    from profiler.session import Session  # noqa: PLC0415
    from profiler.window import WindowWriter  # noqa: PLC0415

    _told("rings between windows", Session, "_take")
    _told("window", Session, "_end_window")
    _told("  drain", CoreLoader, "end_window")
    _told("  names", Registry, "resolve_pending")
    _told("  rows", WindowWriter, "write")
    _told("    appending", Live, "append")
    _told("    judging", Live, "flush")
    _told("      states", Watched, "take")
    _told("      deviations", Judge, "_strayed")


def main() -> None:
    """Run the command line with what it does timed."""
    began = float(sys.argv[1])
    sys.path.insert(0, str(_ROOT))
    from ethogram.cli import main as command_line  # noqa: PLC0415  it is what is measured
    from profiler.libbpf import Btf, Object, Program  # noqa: PLC0415
    from profiler.loaders.core import CoreLoader  # noqa: PLC0415
    from profiler.session import Session  # noqa: PLC0415
    from profiler.window import WindowWriter  # noqa: PLC0415

    _told("open", Btf, "of_kernel")
    _told("open", Object, "__init__")
    _told("load", Object, "load")
    _told("attach", Program, "attach")
    _told("attach", Program, "attach_cgroup")
    _told("seed", Program, "run_iterator")
    _told("drain", CoreLoader, "end_window")
    _told("write", WindowWriter, "write")
    _told("host", Session, "__init__")
    if "watch" in sys.argv[2:3]:
        _tell_of_watch()
    begin = Session.__init__

    def noted(self: Session, *args: Any, **options: Any) -> None:
        _SPENT["python"].append(time.monotonic() - began)
        begin(self, *args, **options)

    Session.__init__ = noted  # type: ignore[method-assign]
    try:
        command_line(sys.argv[2:])
    finally:
        sys.stderr.write(f"\n{json.dumps(_SPENT)}\n")


main()
