"""Which process made a call that is new to its slot: calls are counted of all processes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ethogram.contracts.events import ARCHES
from ethogram.contracts.tables import ENUMS
from profiler.exec_ids import ExecIds
from profiler.instances import Slot

__all__ = ["FirstCallers"]

# Of one slot, and of all: beyond it the slot that was the first to have any is forgotten.
_OF_SLOT = 256
_MOST = 65_536
_RUNTIME, _EXEC = (ENUMS["phase"].index(name) for name in ("runtime", "exec"))


class FirstCallers:
    """Keeps who made each call of a slot first, as news tell it.

    As long as the slot is its instance's: of a call that was made before nothing is told again, and
    rows of an instance wait until it has its name.
    """

    def __init__(self, slots: Mapping[int, Slot], ids: ExecIds) -> None:
        self._slots, self._ids = slots, ids
        self._keys: dict[int, dict[int, int]] = {}  # by slot, then by call
        self._count = 0

    def take(self, callers: np.ndarray) -> None:
        """Take `Drained.callers`."""
        for slot, nr, arch, exec_key in callers.tolist():
            own = self._keys.setdefault(slot, {})
            call = _call(arch, nr)
            if call in own or len(own) >= _OF_SLOT:
                continue
            own[call] = exec_key
            self._count += 1
        while self._count > _MOST:
            self.forget([next(iter(self._keys))])

    def forget(self, slots: Iterable[int]) -> None:
        """Forget *slots*: others get them."""
        for slot in slots:
            self._count -= len(self._keys.pop(slot, ()))

    def of(self, instance: int, phase: str, arch: str, nr: int) -> str | None:
        """Return the `exec_id` of who made a call first; None where nobody knows.

        News are told once in an instance's own life, whatever its phase, and once in the sessions
        that entered it: so it is who was first in the one or the other.
        """
        call = _call(ARCHES.index(arch), nr)
        for slot, own in self._keys.items():
            if call not in own or (known := self._slots.get(slot)) is None:
                continue
            if known.instance.number != instance or known.phase == _RUNTIME:
                continue
            if (known.phase == _EXEC) == (phase == "exec"):
                return self._ids.of(own[call])
        return None


def _call(arch: int, nr: int) -> int:
    return arch << 32 | nr
