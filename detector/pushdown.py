"""What baselines say, told to the kernel side: what is allowed there is no news."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa

from detector.library import Known
from detector.live import Live
from detector.watched import Watched
from ethogram.contracts.capabilities import capability_number
from profiler.loaders.base import KnownGrams
from profiler.passing import PassedTable

__all__ = ["Pushdown"]

_CALLS = 512
_DIMENSIONS: Mapping[PassedTable, frozenset[str]] = {
    "files": frozenset({"files"}),
    "network": frozenset({"peers", "listens"}),
}
_PEERS_NS = 60 * 10**9


class Kernel(Protocol):
    """What a session does with it, by number of the instance."""

    def push(self, calls: Mapping[int, bytes | None], grams: Mapping[int, KnownGrams]) -> None:
        """Take each instance's allowed calls, None: nobody judges it, and its known *grams*."""


class Passes(Protocol):
    """What is allowed, let pass by number of the instance."""

    def pass_capabilities(self, allowed: Mapping[int, int]) -> None:
        """Leave out what each instance is *allowed* and granted, as bits."""

    def pass_rows(self, table: PassedTable, instances: Collection[int]) -> None:
        """Only count from now on what *instances* did in the last window."""

    def tell_rows(self, table: PassedTable, instances: Collection[int]) -> None:
        """Tell of all that *instances* do again."""


class Pushdown:
    """Keeps *kernel* told of what is allowed whom, and which *grams* are known of whom."""

    def __init__(
        self,
        watched: Watched,
        kernel: Kernel,
        passes: Passes,
        tables: Collection[PassedTable] = ("files", "network"),
        grams: Callable[[], Mapping[int, KnownGrams]] = dict,
    ) -> None:
        self._watched = watched
        self._grams = grams
        self._kernel = kernel
        self._passes = passes
        self._tables = tables
        self._since_ns = 0
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
            },
            self._grams(),
        )

    def let_pass(self, live: Live, troubled: Collection[tuple[int, str]]) -> None:
        """Have what was done in the window that *live* has no more told of, where all is allowed.

        *troubled*: instances and dimensions in which something was found. What was decided of an
        instance holds for as long as its baseline and what is known of it stay as they are; whose
        an address is may change, so of peers it holds no longer than a minute.
        """
        judged = {
            number: known
            for number, known in self._watched.instances().items()
            if known is not None
        }
        renamed = live.window("instances").column("instance").to_pylist()
        changed = {n for n, known in self._judged.items() if judged.get(n) is not known}
        changed |= self._judged.keys() & set(renamed)
        for table in self._tables:
            old = self._judged.keys() if table == "network" and self._is_over(live) else changed
            if old:
                self._passes.tell_rows(table, old)
            strange = {number for number, dimension in troubled if dimension in _DIMENSIONS[table]}
            self._passes.pass_rows(table, judged.keys() - old - strange)
        self._passes.pass_capabilities(
            {number: capabilities_of(known) for number, known in judged.items()}
        )
        self._judged = judged

    def _is_over(self, live: Live) -> bool:
        """Return whether names of addresses may be others by now."""
        now_ns = moment_of(live)
        is_over = now_ns - self._since_ns >= _PEERS_NS or live.window("addresses").num_rows > 0
        if is_over:
            self._since_ns = now_ns
        return is_over

    def _calls_of(self, known: Known | None) -> bytes:
        if known is None:
            return bytes(_CALLS // 8)
        if id(known) not in self._calls:
            self._calls[id(known)] = known, _bitmap(known)
        return self._calls[id(known)][1]


def moment_of(live: Live) -> int:
    """Return when the window of *live* ended, in nanoseconds UTC."""
    end: int = live.table("windows").column("end")[-1].cast(pa.int64()).as_py()
    return end


def capabilities_of(known: Known) -> int:
    """Return a bit for each capability that the workload's own rules allow."""
    names = (rule.value.name for rule in known.baseline.rules.of_workload().capabilities)
    numbers = (capability_number(name) for name in names)
    return sum(1 << number for number in set(numbers) if number is not None)


def _bitmap(known: Known) -> bytes:
    """Return a bit for each native call that the workload's own rules allow."""
    bits = np.zeros(_CALLS, np.uint8)
    for rule in known.baseline.rules.of_workload().syscalls:
        if rule.value.arch == platform.machine() and rule.value.nr < _CALLS:
            bits[rule.value.nr] = 1
    return np.packbits(bits, bitorder="little").tobytes()
