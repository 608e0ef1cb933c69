"""What the kernel side counted, read in batches: sets emptied, counters differenced, losses."""

from __future__ import annotations

import ctypes as c
import platform
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ethogram.contracts.events import ARCHES, STRUCTS, LossPlace
from profiler.libbpf import Map, Program, possible_cpus
from profiler.loaders.base import CALLS
from profiler.program_stats import recursion_misses
from profiler.wire import checked

__all__ = ["SETS", "Counters"]

# Map -> struct of its keys, struct of its values (None: a plain counter).
SETS = {
    "odd_calls": ("call_key", None),
    "errors": ("call_key", None),
    "denials": ("denied_key", None),
    "grams": ("gram_key", None),
    "files": ("file_key", "use"),
    "flows": ("flow_key", "flow_use"),
    "unix_flows": ("unix_key", "flow_use"),
    "privileges": ("privilege_key", None),
}
_MAP_FULL, _RECURSION = 1, 5
_PLACES, _PLACED = STRUCTS["slot_places"].dtype, STRUCTS["slot_counts"].dtype
_BY_NUMBER = np.dtype([("calls", "<u8", 512)])
_PLACE_OF_PROGRAM = {
    "syscall_enter": LossPlace.SYSCALLS,
    "syscall_exit": LossPlace.ERRORS,
    "exec_done": LossPlace.PROCESSES,
}


class Counters:
    """Reads the counting maps of a loaded object, and remembers what it has read of each."""

    def __init__(self, maps: Mapping[str, Map], programs: Mapping[str, Program]) -> None:
        self._maps = maps
        self._programs = programs
        self._counted: dict[int, np.ndarray] = {}
        self._lost: dict[bytes, int] = {}
        self._misses: dict[str, int] = {}
        self._count_type: np.dtype[Any] = _PLACED if "places" in maps else _BY_NUMBER
        self._count_room = (c.c_char * (self._count_type.itemsize * possible_cpus()))()
        self._place_room = (c.c_char * _PLACES.itemsize)()

    def take_set(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        key, value = SETS[name]
        keys, values = self._maps[name].read(delete=True)
        value_type = STRUCTS[value].dtype if value else f"<u{self._maps[name].value_size}"
        return checked(np.frombuffer(keys, STRUCTS[key].dtype)), np.frombuffer(values, value_type)

    def take_calls(
        self, window: int, odd: tuple[np.ndarray, np.ndarray], retiring: Iterable[int] = ()
    ) -> np.ndarray:
        """Return the window's calls: differences of the native counters, and the odd ones.

        *retiring*: slots that are nobody's, which somebody may have used all the same.
        """
        native, parts = ARCHES.index(platform.machine()), []
        for slot in [*self._used_slots(), *retiring]:
            numbers, calls = self._native_calls(slot)
            part = np.zeros(len(numbers), CALLS)
            part["slot"], part["window"], part["arch"] = slot, window, native
            part["nr"], part["calls"] = numbers, calls
            parts.append(part)
        keys, values = odd
        part = np.zeros(len(keys), CALLS)
        for field in ("slot", "window", "nr", "arch"):
            part[field] = keys[field]
        part["calls"] = values
        return np.concatenate([*parts, part])

    def _native_calls(self, slot: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (numbers, how often since it was last asked) of a slot; counters may wrap."""
        key = struct.pack("<I", slot)
        if not self._maps["counts"].lookup_into(key, self._count_room):
            return np.empty(0, np.uint16), np.empty(0, np.uint64)
        each = np.frombuffer(memoryview(self._count_room), self._count_type)["calls"]
        total = each.sum(axis=0, dtype=each.dtype)
        change = total - self._counted.get(slot, np.zeros_like(total))
        self._counted[slot] = total
        used = np.flatnonzero(change)
        if self._count_type is _BY_NUMBER or not len(used):
            return used, change[used]
        self._maps["places"].lookup_into(key, self._place_room)
        numbers = np.frombuffer(memoryview(self._place_room), _PLACES)["numbers"][0][used]
        # Two processors may have given one call a place each.
        named, inverse = np.unique(numbers, return_inverse=True)
        calls = np.zeros(len(named), np.uint64)
        np.add.at(calls, inverse, change[used])
        return named, calls

    def clear(self, slot: int) -> None:
        """Let the next owner of a slot begin with no call known, and none counted."""
        self._native_calls(slot)
        self._maps["places"].update(struct.pack("<I", slot), bytes(_PLACES.itemsize))

    def _used_slots(self) -> list[int]:
        _, values = self._maps["slots"].read(delete=False)
        return [0, *np.frombuffer(values, "<u4").tolist()]

    def take_losses(self, unplaced: int) -> list[tuple[int | None, int, int, int]]:
        """Return (slot or None, kind, place, count) of what was lost since the last call."""
        keys, values = self._maps["losses"].read(delete=False)
        dtype = STRUCTS["loss_key"].dtype
        lost: list[tuple[int | None, int, int, int]] = []
        for key, value in zip(
            np.frombuffer(keys, dtype), np.frombuffer(values, "<u8"), strict=True
        ):
            raw, total = key.tobytes(), int(value)
            if change := total - self._lost.get(raw, 0):
                lost.append((int(key["slot"]), int(key["kind"]), int(key["place"]), change))
                self._lost[raw] = total
        if change := unplaced - self._lost.get(b"", 0):
            lost.append((None, _MAP_FULL, LossPlace.TASKS, change))
            self._lost[b""] = unplaced
        for name, program in self._programs.items():
            misses = recursion_misses(program.fd)
            if change := misses - self._misses.get(name, 0):
                lost.append(
                    (None, _RECURSION, _PLACE_OF_PROGRAM.get(name, LossPlace.TASKS), change)
                )
                self._misses[name] = misses
        return lost
