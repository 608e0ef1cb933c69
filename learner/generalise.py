"""Widens what was seen to what it stands for: pure functions of single values.

A widening never allows less than what was observed, and the rule says what it was widened from.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ethogram.contracts.baseline import AnyValue, Dimension, FileValue

__all__ = ["WIDENINGS", "widen"]

_PROCESS = re.compile(r"^(/proc/)[0-9]+(?=/|$)(?:(/task/)[0-9]+(?=/|$))?")


def _without_process_numbers(dimension: Dimension, value: AnyValue) -> AnyValue:
    """Return a file of procfs for any process: numbers of processes say nothing about the next run.

    `/proc/1234/task/1240/comm` becomes `/proc/*/task/*/comm`.
    """
    if dimension != "files" or not isinstance(value, FileValue):
        return value
    path = _PROCESS.sub(lambda hit: f"{hit[1]}*" + (f"{hit[2]}*" if hit[2] else ""), value.path)
    return value if path == value.path else value.model_copy(update={"path": path})


WIDENINGS: tuple[Callable[[Dimension, AnyValue], AnyValue], ...] = (_without_process_numbers,)


def widen(dimension: Dimension, value: AnyValue) -> AnyValue:
    """Return the value that stands for *value* in a baseline: itself, or a wider one."""
    for widening in WIDENINGS:
        value = widening(dimension, value)
    return value
