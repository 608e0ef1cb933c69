"""What baselines say, told to the kernel side: what is allowed there is no news."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

import numpy as np

from detector.library import Known
from detector.watched import Watched

__all__ = ["Pushdown"]

_CALLS = 512


class Pushdown:
    """Keeps *push* told of each instance's allowed calls, a bitmap; None: nobody judges it."""

    def __init__(
        self, watched: Watched, push: Callable[[Mapping[int, bytes | None]], None]
    ) -> None:
        self._watched = watched
        self._push = push
        self._calls: dict[int, tuple[Known, bytes]] = {}

    def take(self) -> None:
        """Tell how everybody who is known by now is judged."""
        judged = self._watched.instances()
        kept = {id(known) for known in judged.values() if known is not None}
        self._calls = {number: one for number, one in self._calls.items() if number in kept}
        self._push(
            {
                number: self._calls_of(judged[number]) if number in judged else None
                for number in self._watched.known_instances()
            }
        )

    def _calls_of(self, known: Known | None) -> bytes:
        if known is None:
            return bytes(_CALLS // 8)
        if id(known) not in self._calls:
            self._calls[id(known)] = known, _bitmap(known)
        return self._calls[id(known)][1]


def _bitmap(known: Known) -> bytes:
    """Return a bit for each native call that the workload's own rules allow."""
    bits = np.zeros(_CALLS, np.uint8)
    for rule in known.baseline.rules.of_workload().syscalls:
        if rule.value.arch == platform.machine() and rule.value.nr < _CALLS:
            bits[rule.value.nr] = 1
    return np.packbits(bits, bitorder="little").tobytes()
