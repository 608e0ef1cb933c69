"""What the kernel side counted, read in batches: sets emptied, counters differenced, losses."""

from __future__ import annotations

import platform
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

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
    "arguments": ("argument_key", None),
    "denials": ("denied_key", None),
    "grams": ("gram_key", None),
    "files": ("file_key", "use"),
    "flows": ("flow_key", "flow_use"),
    "unix_flows": ("unix_key", "flow_use"),
    "privileges": ("privilege_key", None),
}
_MAP_FULL, _RECURSION = 1, 5
_PLACES, _PLACED = STRUCTS["slot_places"].dtype, STRUCTS["slot_counts"].dtype
_AT_ONCE = 1 << 20  # bytes of an array
_SLOT_SHIFT, _NUMBER = np.uint64(32), np.uint64(0xFFFFFFFF)
_BY_NUMBER = np.dtype([("calls", "<u8", 512)])
_PLACE_OF_PROGRAM = {
    "syscall_enter": LossPlace.SYSCALLS,
    "syscall_exit": LossPlace.ERRORS,
    "exec_done": LossPlace.PROCESSES,
    "fork_done": LossPlace.PROCESSES,
    "exit_done": LossPlace.PROCESSES,
    "tcp_state_set": LossPlace.NETWORK,  # of a packet that came while it ran for another
    "capability_checked": LossPlace.PRIVILEGES,
    "ring_submitted": LossPlace.FILES,
    "ring_completed": LossPlace.FILES,
}


class Counters:
    """Reads the counting maps of a loaded object, and remembers what it has read of each."""

    def __init__(self, maps: Mapping[str, Map], programs: Mapping[str, Program]) -> None:
        self._maps = maps
        self._programs = programs
        self._lost: dict[bytes, int] = {}
        self._misses: dict[str, int] = {}
        counts = maps["counts"]
        self._is_placed = "places" in maps  # by where a number is counted, or by number
        self._count_type = _PLACED if self._is_placed else _BY_NUMBER
        # What was counted of each slot when it was last read: pages of slots in use exist only.
        dtype, shape = self._count_type["calls"].subdtype or (np.dtype("<u8"), (0,))
        self._counted = np.zeros((counts.max_entries, *shape), dtype)
        self._cpus = possible_cpus()
        self._sizes = {
            "counts": self._count_type.itemsize * self._cpus,
            "places": _PLACES.itemsize,
        }

    def take_set(self, name: str, ended: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the set's entries of windows up to *ended*, and delete them.

        Those of the open window stay: what a program counts in an entry between its being read and
        its being deleted would be nowhere.
        """
        key, value = SETS[name]
        raw_keys, raw_values = self._maps[name].read()
        value_type = STRUCTS[value].dtype if value else f"<u{self._maps[name].value_size}"
        keys = np.frombuffer(raw_keys, STRUCTS[key].dtype)
        is_over = keys["window"] <= ended
        keys, values = keys[is_over], np.frombuffer(raw_values, value_type)[is_over]
        if len(keys):
            self._maps[name].delete_all(keys.tobytes())
        return checked(keys), values

    def take_calls(
        self, window: int, odd: tuple[np.ndarray, np.ndarray], retiring: Iterable[int] = ()
    ) -> np.ndarray:
        """Return the window's calls: differences of the native counters, and the odd ones.

        *retiring*: slots that are nobody's, which somebody may have used all the same.
        """
        slots, numbers, counts = self._native_calls([*self._used_slots(), *retiring])
        native = np.zeros(len(slots), CALLS)
        native["slot"], native["window"] = slots, window
        native["arch"] = ARCHES.index(platform.machine())
        native["nr"], native["calls"] = numbers, counts
        keys, values = odd
        part = np.zeros(len(keys), CALLS)
        for field in ("slot", "window", "nr", "arch"):
            part[field] = keys[field]
        part["calls"] = values
        return np.concatenate([native, part])

    def _native_calls(self, slots: Iterable[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (slots, numbers, how often since that slot was last asked); counters may wrap."""
        changed: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for some, values in self._values("counts", sorted(set(slots))):
            each = values.view(self._count_type)["calls"].reshape(len(some), self._cpus, -1)
            total = each.sum(axis=1, dtype=each.dtype)
            change = total - self._counted[some]
            self._counted[some] = total
            rows, places = np.nonzero(change)
            changed.append((some[rows], places, change[rows, places]))
        if not changed:
            return tuple(np.zeros(0, np.uint32) for _ in range(3))  # type: ignore[return-value]
        at, places, calls = (np.concatenate(parts) for parts in zip(*changed, strict=True))
        return self._named(at, places, calls) if self._is_placed else (at, places, calls)

    def _named(
        self, slots: np.ndarray, places: np.ndarray, calls: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the same by number of the call, for what was counted by place."""
        numbers = np.zeros(len(slots), np.uint64)
        for some, values in self._values("places", np.unique(slots).tolist()):
            of_slot = values.view(_PLACES)["numbers"].reshape(len(some), -1)
            mine = np.isin(slots, some)
            numbers[mine] = of_slot[np.searchsorted(some, slots[mine]), places[mine]]
        # Two processors may have given one call a place each.
        named, inverse = np.unique(
            slots.astype(np.uint64) << _SLOT_SHIFT | numbers, return_inverse=True
        )
        total = np.zeros(len(named), np.uint64)
        np.add.at(total, inverse, calls)
        return named >> _SLOT_SHIFT, named & _NUMBER, total

    def _values(self, name: str, slots: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield some of the sorted *slots*, and what an array has of each, as rows of bytes."""
        of, size, at = self._maps[name], self._sizes[name], 0
        while at < len(slots):
            first = slots[at]
            until = bisect_left(slots, first + max(1, _AT_ONCE // size))
            some = np.array(slots[at:until])
            read = of.read_array(first, slots[until - 1] - first + 1, size)
            yield some, np.frombuffer(read, np.uint8).reshape(-1, size)[some - first]
            at = until

    def clear(self, slot: int) -> None:
        """Let the next owner of a slot begin with no call known, and none counted."""
        self._native_calls([slot])
        self._maps["places"].update(struct.pack("<I", slot), bytes(_PLACES.itemsize))

    def _used_slots(self) -> list[int]:
        _, values = self._maps["slots"].read()
        return [0, *np.frombuffer(values, "<u4").tolist()]

    def take_losses(self, unplaced: int) -> list[tuple[int | None, int, int, int]]:
        """Return (slot or None, kind, place, count) of what was lost since the last call."""
        keys, values = self._maps["losses"].read()
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
