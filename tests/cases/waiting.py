"""Waiting for what a process writes, without making the machine busier than it is."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mark", "marks_of", "pause", "wait_for_line", "wait_for_text"]

POLL_SECONDS = 0.05
MARK = re.compile(r"^@case (\S+) start (\d+)$", re.MULTILINE)
END = "^@case {} end (\\d+) (-?\\d+)$"


@dataclass(frozen=True, slots=True)
class Mark:
    """When a job ran, in nanoseconds of the wall clock, and its exit status."""

    started_ns: int
    ended_ns: int
    status: int


def pause(seconds: float) -> None:
    """Return after *seconds*: for behaviour that takes time, not to hope that something is done."""
    threading.Event().wait(seconds)


def wait_for_line(
    file: Path, beginning: str, *, alive: Callable[[], bool], timeout_s: float, times: int = 1
) -> None:
    """Return when *times* lines of *file* begin so.

    Raises TimeoutError, or ChildProcessError when whoever writes them is gone before.
    """

    def is_there(lines: list[str]) -> bool:
        return sum(line.startswith(beginning) for line in lines) >= times

    _wait(file, beginning, is_there, alive, timeout_s)


def wait_for_text(file: Path, text: str, *, alive: Callable[[], bool], timeout_s: float) -> None:
    """Return when a line of *file* holds *text*; raises as `wait_for_line` does."""
    _wait(file, text, lambda lines: any(text in line for line in lines), alive, timeout_s)


def _wait(
    file: Path,
    what: str,
    is_there: Callable[[list[str]], bool],
    alive: Callable[[], bool],
    timeout_s: float,
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        lives = alive()
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        if is_there(lines):
            return
        if not lives:
            raise ChildProcessError(f"ended before it wrote `{what}`: {lines[-5:]}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no `{what}` after {timeout_s:g} s: {lines[-5:]}")
        pause(POLL_SECONDS)


def marks_of(text: str) -> dict[str, Mark]:
    """Return when each job in *text* ran, the last time where it ran more than once."""
    found = {}
    for name, started in MARK.findall(text):
        if ends := re.findall(END.format(re.escape(name)), text, re.MULTILINE):
            ended, status = ends[-1]
            found[name] = Mark(int(started), int(ended), int(status))
    return found
