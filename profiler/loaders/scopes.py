"""What is no news in a slot, as the kernel has it, and which sequences of calls are known there."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from ctypes import c_char

import numpy as np

from ethogram.contracts.events import STRUCTS
from profiler.libbpf import Map
from profiler.loaders.base import KnownGrams

__all__ = ["Scopes"]

_SCOPE = STRUCTS["scope"].dtype


class Scopes:
    """Writes scopes of slots, and maps of sequences that models know: each model has one place."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._scopes, self._grams = maps["scopes"], maps["known_grams"]
        self._free = list(range(self._grams.max_entries - 1, 0, -1))  # place 0 stays empty
        self._places: dict[int, int] = {}  # by number of the model

    def push(self, slot: int, calls: bytes, *, is_muted: bool, grams: KnownGrams | None) -> None:
        """Write what is no news of a slot; where there is no room for *grams* all are known."""
        place, spared = self._place(grams), grams.spared if grams else 0
        allowed = np.frombuffer(calls, "<u8")
        self.describe(slot, calls=allowed, is_muted=is_muted, grams=place, grams_new=spared)

    def describe(self, slot: int, **fields: object) -> None:
        """Write *fields* of what news are in a slot; the others stay."""
        key, room = struct.pack("<I", slot), (c_char * self._scopes.value_size)()
        if self._scopes.lookup_into(key, room):
            scope = np.frombuffer(room.raw, _SCOPE).copy()
            for name, value in fields.items():
                scope[name] = value
            self._scopes.update(key, scope.tobytes())

    def keep_grams(self, numbers: Collection[int]) -> None:
        """Free the places of all other models: no slot has them any more."""
        for number in self._places.keys() - set(numbers):
            self._free.append(self._places.pop(number))

    def _place(self, known: KnownGrams | None) -> int:
        if known is None:
            return 0
        if known.number not in self._places:
            if not self._free:
                return 0
            self._places[known.number] = place = self._free.pop()
            self._grams.update(struct.pack("<I", place), known.bits)
        return self._places[known.number]
