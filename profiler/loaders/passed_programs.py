"""Execs that were judged and are allowed: the kernel side wakes nobody for them."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

import numpy as np

from ethogram.contracts.events import News
from ethogram.errors import CaptureError
from profiler.libbpf import Map
from profiler.loaders.base import PROGRAM
from profiler.ring import Records

__all__ = ["PassedPrograms", "programs_in"]

_OF_SLOT = 512
_ONE = struct.pack("<I", 1)


class PassedPrograms:
    """Fills and empties the map of them. *switch* is told whether it has any."""

    def __init__(self, held: Map, switch: Callable[[bool], None]) -> None:
        self._held, self._switch = held, switch
        self._keys: dict[int, set[bytes]] = defaultdict(set)  # by slot

    def add(self, keys: np.ndarray) -> None:
        """Pass execs with these *keys*; those that find no room wake as before."""
        for key in keys:
            own, raw = self._keys[int(key["slot"])], key.tobytes()
            if raw in own or len(own) >= _OF_SLOT:
                continue
            try:
                self._held.update(raw, _ONE)
            except CaptureError:  # the map is full
                break
            own.add(raw)
        self._switch(any(self._keys.values()))

    def remove(self, slots: Collection[int]) -> None:
        """Pass nothing of *slots* any more."""
        for raw in [key for slot in set(slots) for key in self._keys.pop(slot, ())]:
            self._held.delete(raw)
        self._switch(any(self._keys.values()))

    def clear(self) -> None:
        """Pass nothing any more."""
        self.remove(list(self._keys))


def programs_in(news: Iterable[Records]) -> np.ndarray:
    """Return who executed what, of the execs that *news* tell of."""
    raw = b"".join(
        tail[: PROGRAM.itemsize]
        for batch in news
        for head, tail in zip(batch.heads, batch.tails, strict=True)
        if int(head["news"]) == News.EXEC and int(head["key_size"]) == PROGRAM.itemsize
    )
    return np.frombuffer(raw, PROGRAM)
