"""What is allowed is let pass: the kernel side counts it, if that, and no row tells of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np

from profiler.loaders.base import Loader
from profiler.registry import Registry

__all__ = ["PassedTable", "Passing"]

# Tables whose rows may stay in the kernel, and the kernel's sets for each.
PassedTable = Literal["files", "network"]
_SETS_OF: Mapping[PassedTable, tuple[str, ...]] = {
    "files": ("files",),
    "network": ("flows", "unix_flows"),
}


class Passing:
    """Tells the kernel side, which knows slots, what instances are allowed.

    *loader* is there once it is attached. *plain* has the last window's keys that say all of a row,
    by the name of their set.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._capabilities: dict[int, int] = {}  # by slot, where there are any
        self.loader: Loader | None = None
        self.plain: dict[str, np.ndarray] = {}

    def pass_capabilities(self, allowed: Mapping[int, int]) -> None:
        """Leave out what instances are *allowed* and granted: bits by number of the instance."""
        assert self.loader is not None
        for slot in self._registry.slots.values():
            bits = allowed.get(slot.instance.number, 0)
            if self._capabilities.get(slot.number, 0) == bits:
                continue
            if slot.instance.verdict == "wanted":
                self._capabilities[slot.number] = bits
                self.loader.pass_capabilities(slot.number, bits)

    def pass_rows(self, table: PassedTable, instances: Collection[int]) -> None:
        """Only count from now on what *instances* did in the window that was just written."""
        assert self.loader is not None
        known = self._registry.slots
        for name in _SETS_OF[table]:
            if (keys := self.plain.get(name)) is None:
                continue
            slots = [
                n for n in np.unique(keys["slot"]).tolist() if known[n].instance.number in instances
            ]
            if slots:
                self.loader.pass_keys(name, keys[np.isin(keys["slot"], slots)])

    def tell_rows(self, table: PassedTable, instances: Collection[int]) -> None:
        """Tell of all that *instances* do again."""
        assert self.loader is not None
        slots = [n for n, slot in self._registry.slots.items() if slot.instance.number in instances]
        for name in _SETS_OF[table]:
            self.loader.tell_keys(name, slots)

    def renew(self) -> None:
        """Leave out nothing any more: what is allowed has changed."""
        self.pass_capabilities({})

    def forget(self, slot: int) -> None:
        """Forget a *slot* that is nobody's any more."""
        self._capabilities.pop(slot, None)
