"""Programs that may be executed again without anybody looking at once: whose, and which."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.tables import ENUMS
from profiler.loaders.base import PROGRAM, Loader
from profiler.processes import Executables
from profiler.registry import Registry

__all__ = ["AllowedPrograms", "is_plain"]

_STRANGE = (
    int(ProcessFlag.INTERPRETED | ProcessFlag.MEMFD | ProcessFlag.DELETED)
    | int(ProcessFlag.PATH_TRUNCATED | ProcessFlag.PRIVILEGES_GAINED)
    | int(EventFlag.READ_FAULT | EventFlag.PATH_RACY)
)
_SOCKET = ENUMS["stdio"].index("socket")


class AllowedPrograms:
    """Tells the kernel side, which knows slots, what instances may execute.

    *loader* is there once it is attached; *news* are the execs of the last look or window that were
    new, in the dtype of `program_key`.
    """

    def __init__(self, registry: Registry, executables: Executables) -> None:
        self._registry, self._executables = registry, executables
        self.loader: Loader | None = None
        self.news = np.zeros(0, PROGRAM)

    def pass_programs(self, instances: Collection[int], may: Callable[[bytes], bool]) -> None:
        """Let what *instances* executed lately wake nobody, of programs that *may* pass, by path.

        The next time it may have other arguments. It was judged by now, or there would be no news.
        """
        assert self.loader is not None
        slots, paths = self._registry.slots, self._executables.paths
        chosen = [
            index
            for index, (slot, exe) in enumerate(self.news[["slot", "exe_key"]].tolist())
            if slot in slots
            and slots[slot].instance.number in instances
            and may(paths[self._executables.number_of(exe)])
            and is_plain(self.news[index])
        ]
        if chosen:
            self.loader.pass_programs(self.news[chosen])

    def tell_programs(self, instances: Collection[int]) -> None:
        """Tell of all that *instances* execute again."""
        assert self.loader is not None
        slots = self._registry.slots.items()
        self.loader.tell_programs([n for n, one in slots if one.instance.number in instances])


def is_plain(program: np.void) -> bool:
    """Return whether that was the exec of a file by a name that is known whole, and no more.

    Not: scripts, what is in memory or deleted, what gains privileges or talks to a socket.
    """
    return (
        not int(program["flags"]) & _STRANGE
        and _SOCKET not in program["stdio"].tolist()
        and not program["first_word"][-2:].any()
    )
