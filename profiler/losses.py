"""What could not be recorded, by whose it is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ethogram.contracts.events import LossPlace
from ethogram.contracts.tables import ENUMS
from profiler.loaders.base import Drained
from profiler.registry import Registry
from profiler.sets import Carried

__all__ = ["Losses", "Lost"]

# (workload, instance, kind, place) -> how many; null where it is not known whose.
Lost = Counter[tuple[int | None, int | None, str, str]]


class Losses:
    """Gives losses to workloads. Of one whose name is still to come they wait, like its rows."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: list[tuple[int | None, int, int, int]] = []

    def take(self, drained: Drained, *, is_last: bool) -> Lost:
        """Return what was lost up to the end of this window, of all that is recorded."""
        lost: Lost = Counter()
        losses, self._waiting = [*self._waiting, *drained.losses], []
        for loss in losses:
            slot, kind, place, count = loss
            instance = None if slot is None else self._registry.instance_of(slot)
            if instance is not None and instance.verdict == "pending" and not is_last:
                self._waiting.append(loss)
            elif instance is None or instance.verdict == "wanted":
                whose = (instance.workload, instance.number) if instance else (None, None)
                lost[(*whose, ENUMS["loss"][kind], LossPlace(place).name.lower())] += count
        known = np.isin(drained.calls["slot"], list(self._registry.slots))
        if unknown := int(drained.calls["calls"][~known].sum()):
            lost[None, None, "slots_full", "syscalls"] += unknown
        return lost

    def unnamed(self, carried: Carried, *, is_last: bool) -> Lost:
        """Return the calls of containers that never got a name, so that nobody can ask for them.

        They count in the window in which that is settled; those that wait for a name after the last
        one are among them.
        """
        total = 0
        if is_last:
            keys, counts = carried.sets["calls"]
            for slot in np.unique(keys["slot"]).tolist():
                instance = self._registry.instance_of(slot)
                if instance is not None and instance.is_container:
                    total += int(counts[keys["slot"] == slot].sum())
        keys, counts = carried.dropped["calls"]
        for slot in np.unique(keys["slot"]).tolist():
            instance = self._registry.instance_of(slot)
            if instance is not None and instance.is_unnamed:
                total += int(counts[keys["slot"] == slot].sum())
        return Counter({(None, None, "unresolved", "workloads"): total} if total else {})
