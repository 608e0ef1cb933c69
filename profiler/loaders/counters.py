"""What the kernel side counted, read in batches: sets emptied, counters differenced, losses."""

from __future__ import annotations

import ctypes as c
import platform
import struct
from collections.abc import Mapping

import numpy as np

from ethogram.contracts.events import ARCHES, STRUCTS, LossPlace
from profiler.libbpf import Map, Program, possible_cpus
from profiler.loaders.base import CALLS
from profiler.program_stats import recursion_misses

__all__ = ["SETS", "Counters"]

_NATIVE_CALLS = 512
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
        self._count_room = (c.c_char * (8 * _NATIVE_CALLS * possible_cpus()))()

    def take_set(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        key, value = SETS[name]
        keys, values = self._maps[name].read(delete=True)
        value_type = STRUCTS[value].dtype if value else f"<u{self._maps[name].value_size}"
        return np.frombuffer(keys, STRUCTS[key].dtype), np.frombuffer(values, value_type)

    def take_calls(self, window: int, odd: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the window's calls: differences of the native counters, and the odd ones."""
        counts, native = self._maps["counts"], ARCHES.index(platform.machine())
        parts = []
        for slot in self._used_slots():
            if not counts.lookup_into(struct.pack("<I", slot), self._count_room):
                continue
            total = (
                np.frombuffer(bytes(self._count_room), "<u8").reshape(-1, _NATIVE_CALLS).sum(axis=0)
            )
            change = total - self._counted.get(slot, np.zeros_like(total))
            self._counted[slot] = total
            numbers = np.flatnonzero(change)
            part = np.zeros(len(numbers), CALLS)
            part["slot"], part["window"], part["arch"] = slot, window, native
            part["nr"], part["calls"] = numbers, change[numbers]
            parts.append(part)
        keys, values = odd
        part = np.zeros(len(keys), CALLS)
        for field in ("slot", "window", "nr", "arch"):
            part[field] = keys[field]
        part["calls"] = values
        return np.concatenate([*parts, part])

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
