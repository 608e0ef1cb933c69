"""Opens that were judged and are allowed: the kernel side counts them, and tells no more."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from ctypes import c_char

import numpy as np

from ethogram.contracts.events import STRUCTS
from ethogram.errors import CaptureError
from profiler.libbpf import Map

__all__ = ["PassedFiles"]

# Of one slot, so that a few leave room for others; and in one window, for the time that it takes.
_OF_SLOT, _AT_ONCE = 2048, 4096
_KEY = STRUCTS["file_key"].dtype
_ONE = struct.pack("<I", 1)


class PassedFiles:
    """Fills and empties the map of them. *switch* is told whether it has any."""

    def __init__(self, maps: Mapping[str, Map], switch: Callable[[bool], None]) -> None:
        self._files, self._usage = maps["passed_files"], maps["usage"]
        self._switch = switch
        self._entries: Counter[int] = Counter()  # by slot
        self._opens: dict[int, int] = {}  # as last read

    def add(self, keys: np.ndarray) -> None:
        """Pass opens with these *keys*, whatever their window; what finds no room is told of."""
        keys = keys[:_AT_ONCE].copy()
        keys["window"] = 0
        raw, size = keys.tobytes(), _KEY.itemsize
        for index, slot in enumerate(keys["slot"].tolist()):
            if self._entries[slot] >= _OF_SLOT:
                continue
            if slot not in self._opens:
                self._opens[slot] = self._read(slot)
            try:
                self._files.update(raw[index * size : (index + 1) * size], _ONE)
            except CaptureError:  # the map is full
                break
            self._entries[slot] += 1
        self._switch(bool(self._entries))

    def remove(self, slots: Collection[int]) -> None:
        """Pass nothing of *slots* any more."""
        if not any(self._entries.pop(slot, 0) for slot in set(slots)):
            return
        keys = np.frombuffer(self._files.read()[0], _KEY)
        for key in keys[np.isin(keys["slot"], list(slots))]:
            self._files.delete(key.tobytes())
        self._switch(bool(self._entries))

    def clear(self) -> None:
        """Pass nothing any more."""
        self.remove(list(self._entries))

    def take_opens(self) -> dict[int, int]:
        """Return by slot how many opens passed since this was last asked."""
        taken = {}
        for slot, before in list(self._opens.items()):
            now = self._read(slot)
            if now != before:
                taken[slot], self._opens[slot] = now - before, now
            elif slot not in self._entries:
                del self._opens[slot]
        return taken

    def _read(self, slot: int) -> int:
        usage = (c_char * self._usage.value_size)()
        self._usage.lookup_into(struct.pack("<I", slot), usage)
        return int.from_bytes(usage.raw[-8:], "little")
