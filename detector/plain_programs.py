"""Execs that baselines allow, told to the kernel side: nobody looks at them at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Protocol

from detector.library import Known
from detector.live import Live
from detector.watched import Watched
from ethogram.indicators.arguments import ARGUMENTS_MATTER

__all__ = ["PlainPrograms", "may_pass"]

_ASKED = re.compile(ARGUMENTS_MATTER.encode())


class Kernel(Protocol):
    """What a session does with it, by number of the instance."""

    def pass_programs(self, instances: Collection[int], may: Callable[[bytes], bool]) -> None:
        """Let execs wake nobody that *instances* did lately, of programs that *may* pass."""

    def tell_programs(self, instances: Collection[int]) -> None:
        """Tell of all that *instances* execute again."""


class PlainPrograms:
    """Keeps *kernel* told of what was judged and is allowed."""

    def __init__(self, watched: Watched, kernel: Kernel) -> None:
        self._watched, self._kernel = watched, kernel
        self._judged: dict[int, Known] = {}

    def take(self, live: Live, troubled: Collection[tuple[int, str]]) -> None:
        """Let pass what *live* has of execs, of whom nothing was found in them.

        *troubled*: instances and dimensions in which something was found. What was decided of an
        instance holds for as long as its baseline and what is known of it stay as they are.
        """
        instances = self._watched.instances()
        judged = {number: known for number, known in instances.items() if known is not None}
        renamed = set(live.window("instances").column("instance").to_pylist())
        changed = {n for n, known in self._judged.items() if judged.get(n) is not known}
        changed |= self._judged.keys() & renamed
        if changed:
            self._kernel.tell_programs(changed)
        strange = {number for number, dimension in troubled if dimension == "execs"}
        self._kernel.pass_programs(judged.keys() - strange - renamed, may_pass)
        self._judged = judged


def may_pass(path: bytes) -> bool:
    """Return whether indicators ask the executable with *path* no more than which one it is."""
    return bool(path) and not _ASKED.fullmatch(path.rpartition(b"/")[2])
