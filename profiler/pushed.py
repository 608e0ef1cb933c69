"""What the kernel side is told of each instance, and was told before: no slot is told it twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ethogram.contracts.events import NATIVE_CALLS
from ethogram.contracts.tables import ENUMS
from profiler.instances import Slot
from profiler.loaders.base import KnownGrams, Loader

__all__ = ["Pushed", "by_instance"]

_STEADY = ENUMS["phase"].index("steady")
_NOTHING = bytes(NATIVE_CALLS // 8)


class Pushed:
    """Pushes to a loader what is no news in slots."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[bytes | None, KnownGrams | None]] = {}  # by slot

    def push(
        self,
        loader: Loader,
        slots: Iterable[Slot],
        calls: Mapping[int, bytes | None],
        grams: Mapping[int, KnownGrams],
    ) -> None:
        """Tell *loader* of the *calls* allowed and *grams* known, by number of the instance.

        None for anything: nobody judges it. Of sequences the steady phase's alone are known.
        """
        later = []
        for slot in slots:
            number = slot.instance.number
            if number not in calls or slot.instance.verdict != "wanted":
                continue
            known = grams.get(number) if slot.phase == _STEADY else None
            now = calls[number], known
            if self._told.get(slot.number) == now:
                continue
            if known is None:
                self._tell(loader, slot.number, now)
            else:
                later.append((slot.number, now))
        # First nobody has what is to be had no more; then its place is another's.
        loader.keep_grams({known.number for known in grams.values()})
        for number, now in later:
            self._tell(loader, number, now)

    def _tell(self, loader: Loader, slot: int, now: tuple[bytes | None, KnownGrams | None]) -> None:
        self._told[slot] = now
        calls, known = now
        loader.push(slot, calls or _NOTHING, is_muted=calls is None, grams=known)

    def forget(self, slots: Iterable[int]) -> None:
        """Forget what *slots* were told: others get them."""
        for slot in slots:
            self._told.pop(slot, None)


def by_instance(keys: np.ndarray, slots: Mapping[int, Slot]) -> dict[int, np.ndarray]:
    """Return the sequences in *keys* of `grams` by the number of their instance."""
    numbers, place = np.unique(keys["slot"], return_inverse=True)
    found: dict[int, list[np.ndarray]] = {}
    for index, slot in enumerate(numbers.tolist()):
        found.setdefault(slots[slot].instance.number, []).append(keys["gram"][place == index])
    return {number: np.unique(np.concatenate(parts)) for number, parts in found.items()}
