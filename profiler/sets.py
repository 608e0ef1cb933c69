"""Sorting a drained set: whose rows are written now, whose wait, and one row where there were two.

Each set is (keys, values): structured arrays whose keys have `slot` and `window`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from profiler.registry import Registry

__all__ = ["Carried", "merged"]

UNWANTED, WANTED, PENDING = 0, 1, 2
Set = tuple[np.ndarray, np.ndarray]


@dataclass(slots=True)
class Carried:
    """What could not be written yet: of the next window, or of a workload without a name.

    `dropped` is what the last `sort_out` of each set found to be of nobody who is recorded.
    """

    sets: dict[str, Set] = field(default_factory=dict)
    dropped: dict[str, Set] = field(default_factory=dict)

    def sort_out(self, name: str, drained: Set, window: int, registry: Registry) -> Set:
        """Return what of *drained*, and of what was kept before, is to be written now."""
        has_kept = name in self.sets and len(self.sets[name][0]) > 0
        keys, values = self._with_kept(name, drained)
        verdicts = registry.verdicts(keys["slot"])
        is_late = keys["window"] > window
        waits = (verdicts == PENDING) | (is_late & (verdicts == WANTED))
        self.sets[name] = keys[waits], values[waits]
        is_dropped = verdicts == UNWANTED
        self.dropped[name] = keys[is_dropped], values[is_dropped]
        goes = (verdicts == WANTED) & ~is_late
        return merged(keys[goes], values[goes], registry.canonical(), may_repeat=has_kept)

    def _with_kept(self, name: str, drained: Set) -> Set:
        kept = self.sets.pop(name, None)
        if kept is None or not len(kept[0]):
            return drained
        return np.concatenate([kept[0], drained[0]]), np.concatenate([kept[1], drained[1]])


def merged(
    keys: np.ndarray, values: np.ndarray, canonical: np.ndarray, *, may_repeat: bool = False
) -> Set:
    """Return the set with slots that mean the same made one, and rows of the same key added up.

    *may_repeat*: keys stand there twice already, because a part of them was kept from before.
    *canonical* maps a slot number to the first of those with its instance and phase. Counters add;
    `first_ns` is the least, `last_ns` and cookies the greatest.
    """
    slots = keys["slot"]
    wanted = canonical[np.minimum(slots, len(canonical) - 1)]
    if not may_repeat and np.array_equal(wanted, slots):
        return keys, values
    keys = keys.copy()
    keys["slot"] = wanted
    unique, inverse = np.unique(keys, return_inverse=True)
    if len(unique) == len(keys):
        return keys, values
    total = np.zeros(len(unique), values.dtype)
    if values.dtype.names is None:
        np.add.at(total, inverse, values)
        return unique, total
    for name in values.dtype.names:
        if name == "first_ns":
            total[name] = np.iinfo(np.uint64).max
            np.minimum.at(total[name], inverse, values[name])
        elif name in ("last_ns", "cookie", "peer_cookie"):
            np.maximum.at(total[name], inverse, values[name])
        else:
            np.add.at(total[name], inverse, values[name])
    return unique, total
