"""What baselines say, told to the kernel side: what is allowed there is no news."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np

from detector.library import Known
from detector.live import Live
from detector.watched import Watched

__all__ = ["Pushdown"]

_CALLS = 512


class Kernel(Protocol):
    """What a session does with it, by number of the instance."""

    def push(self, calls: Mapping[int, bytes | None]) -> None:
        """Take each instance's allowed calls, a bitmap; None: nobody judges it."""

    def pass_files(self, instances: Collection[int]) -> None:
        """Only count from now on what *instances* opened in the last window."""

    def tell_files(self, instances: Collection[int]) -> None:
        """Tell of all that *instances* open again."""


class Pushdown:
    """Keeps *kernel* told of what is allowed whom."""

    def __init__(self, watched: Watched, kernel: Kernel) -> None:
        self._watched = watched
        self._kernel = kernel
        self._judged: dict[int, Known] = {}
        self._calls: dict[int, tuple[Known, bytes]] = {}

    def take(self) -> None:
        """Tell how everybody who is known by now is judged."""
        judged = self._watched.instances()
        kept = {id(known) for known in judged.values() if known is not None}
        self._calls = {number: one for number, one in self._calls.items() if number in kept}
        self._kernel.push(
            {
                number: self._calls_of(judged[number]) if number in judged else None
                for number in self._watched.known_instances()
            }
        )

    def pass_files(self, live: Live, troubled: Collection[tuple[int, str]]) -> None:
        """Have the files of the window that *live* has no more told of, where all are allowed.

        *troubled*: instances and dimensions in which something was found. What was decided of an
        instance holds for as long as its baseline and what is known of it stay as they are.
        """
        judged = {
            number: known
            for number, known in self._watched.instances().items()
            if known is not None
        }
        renamed = live.window("instances").column("instance").to_pylist()
        changed = {n for n, known in self._judged.items() if judged.get(n) is not known}
        changed |= self._judged.keys() & set(renamed)
        if changed:
            self._kernel.tell_files(changed)
        strange = {number for number, dimension in troubled if dimension == "files"}
        self._kernel.pass_files(judged.keys() - changed - strange)
        self._judged = judged

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
