"""What was judged and is allowed: the kernel side counts it, and tells no more."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from ctypes import c_char
from functools import partial

import numpy as np

from ethogram.contracts.events import STRUCTS
from ethogram.errors import CaptureError
from profiler.libbpf import Map
from profiler.loaders.counters import SETS

__all__ = ["Passed", "PassedCounts", "PassedSets"]

# Of one slot, so that a few leave room for others; and in one window, for the time that it takes.
_OF_SLOT, _AT_ONCE = 2048, 4096
_ONE = struct.pack("<I", 1)


class Passed:
    """Fills and empties one map of allowed keys. *switch* is told whether it has any.

    *counted* is told of each slot that is to have some.
    """

    def __init__(
        self,
        keys: Map,
        dtype: np.dtype,
        *,
        switch: Callable[[bool], None],
        counted: Callable[[int], None],
    ) -> None:
        self._map, self._dtype = keys, dtype
        self._switch, self._counted = switch, counted
        self._entries: Counter[int] = Counter()  # by slot

    def add(self, keys: np.ndarray) -> None:
        """Pass these *keys*, whatever their window; what finds no room is told of."""
        keys = keys[:_AT_ONCE].copy()
        keys["window"] = 0
        raw, size = keys.tobytes(), self._dtype.itemsize
        for index, slot in enumerate(keys["slot"].tolist()):
            if self._entries[slot] >= _OF_SLOT:
                continue
            self._counted(slot)
            try:
                self._map.update(raw[index * size : (index + 1) * size], _ONE)
            except CaptureError:  # the map is full
                break
            self._entries[slot] += 1
        self._switch(bool(self._entries))

    def remove(self, slots: Collection[int]) -> None:
        """Pass nothing of *slots* any more."""
        passed = [self._entries.pop(slot, 0) for slot in set(slots)]
        if not any(passed):
            return
        keys = np.frombuffer(self._map.read()[0], self._dtype)
        for key in keys[np.isin(keys["slot"], list(slots))]:
            self._map.delete(key.tobytes())
        self._switch(bool(self._entries))

    def slots(self) -> Collection[int]:
        """Return the slots of which something passes."""
        return self._entries.keys()


class PassedCounts:
    """Reads how often something passed: the last u64 but *at* of its slot's usage."""

    def __init__(self, usage: Map, at: int) -> None:
        self._usage = usage
        end = usage.value_size - 8 * at
        self._field = slice(end - 8, end)
        self._before: dict[int, int] = {}  # as last read

    def begin(self, slot: int) -> None:
        """Count what passes of *slot* from now on."""
        if slot not in self._before:
            self._before[slot] = self._read(slot)

    def take(self, current: Collection[int]) -> dict[int, int]:
        """Return by slot how often since this was last asked; *current* are counted on."""
        taken = {}
        for slot, before in list(self._before.items()):
            now = self._read(slot)
            if now != before:
                taken[slot], self._before[slot] = now - before, now
            elif slot not in current:
                del self._before[slot]
        return taken

    def _read(self, slot: int) -> int:
        usage = (c_char * self._usage.value_size)()
        self._usage.lookup_into(struct.pack("<I", slot), usage)
        return int.from_bytes(usage.raw[self._field], "little")


class PassedSets:
    """What passes, by name of the set that it would be in. *switch* sets one of the kernel side."""

    # Set -> what is counted of it, and where in the usage: from the end.
    _COUNTED: Mapping[str, tuple[str, int]] = {
        "files": ("opens", 1),
        "flows": ("connects", 0),
        "unix_flows": ("connects", 0),
    }
    _MAPS: Mapping[str, str] = {
        "files": "passed_files", "flows": "passed_flows", "unix_flows": "passed_unix",
    }  # fmt: skip
    MAPS = frozenset(_MAPS.values())

    def __init__(self, maps: Mapping[str, Map], switch: Callable[[str, int], None]) -> None:
        self._counts = {
            what: PassedCounts(maps["usage"], at) for what, at in self._COUNTED.values()
        }
        self._sets = {
            name: Passed(
                maps[own],
                STRUCTS[SETS[name][0]].dtype,
                switch=partial(switch, own.replace("passed", "passes")),
                counted=self._counts[self._COUNTED[name][0]].begin,
            )
            for name, own in self._MAPS.items()
        }

    def add(self, name: str, keys: np.ndarray) -> None:
        """Pass *keys* of the set *name*."""
        self._sets[name].add(keys)

    def remove(self, slots: Collection[int], name: str | None = None) -> None:
        """Pass nothing of *slots* any more, in the set *name* or in any."""
        for one, passed in self._sets.items():
            if name in (None, one):
                passed.remove(slots)

    def clear(self) -> None:
        """Pass nothing any more."""
        for passed in self._sets.values():
            passed.remove(list(passed.slots()))

    def take(self) -> dict[str, dict[int, int]]:
        """Return `opens` and `connects` that passed since this was last asked, by slot."""
        taken = {}
        for what, counts in self._counts.items():
            current = {
                slot
                for name, passed in self._sets.items()
                if self._COUNTED[name][0] == what
                for slot in passed.slots()
            }
            taken[what] = counts.take(current)
        return taken
