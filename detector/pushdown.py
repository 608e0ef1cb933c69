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
        # Since the window began: whose names are others, and whether those of addresses are.
        self._renamed: set[int] = set()
        self._is_readdressed = False
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

    def note(self, live: Live) -> None:
        """Have told again, of what passes, what the names in a look at *live* may say is another's.

        What else the window shows may be from before: that does not pass at its end, either.
        """
        self._renamed |= self._judged.keys() & set(_renamed_in(live))
        self._is_readdressed |= live.window("addresses").num_rows > 0
        for table in self._tables:
            is_all = table == "network" and self._is_readdressed
            if old := self._judged.keys() if is_all else self._renamed:
                self._passes.tell_rows(table, old)

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
        changed = {n for n, known in self._judged.items() if judged.get(n) is not known}
        changed |= self._judged.keys() & {*self._renamed, *_renamed_in(live)}
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
        self._renamed, self._is_readdressed = set(), False

    def _is_over(self, live: Live) -> bool:
        """Return whether names of addresses may be others by now."""
        now_ns = moment_of(live)
        has_others = self._is_readdressed or live.window("addresses").num_rows > 0
        is_over = now_ns - self._since_ns >= _PEERS_NS or has_others
        if is_over:
            self._since_ns = now_ns
        return is_over

    def _calls_of(self, known: Known | None) -> bytes:
        if known is None:
            return bytes(_CALLS // 8)
        if id(known) not in self._calls:
            self._calls[id(known)] = known, _bitmap(known)
        return self._calls[id(known)][1]


def _renamed_in(live: Live) -> list[int]:
    """Return the instances of which *live* has a row since the last look: more is known of them."""
    numbers: list[int] = live.window("instances").column("instance").to_pylist()
    return numbers


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
