"""Whether what is being recorded has settled, window by window, while it is recorded.

A sink beside the one that writes. It keeps when each value was seen first and last, of each
workload up to a limit, and asks `learner.novelty` at the end of windows, as `learn` would of the
recording up to there. What it cannot tell is not settled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ethogram.contracts.baseline import AnyValue, Dimension, FileValue
from ethogram.contracts.escape import escape
from ethogram.contracts.tables import ENUMS
from learner.counts import poisson_bounds
from learner.dimensions import access_letters
from learner.generalise import widened
from learner.novelty import FEWEST_WINDOWS, Novelty
from learner.sights import FILES, TABLES, Columns, Sight, as_lists, sights

__all__ = ["MOST_VALUES", "Settling", "windows_for"]

# Of one workload. Some hundred bytes each; who shows more in one recording is not settled.
MOST_VALUES = 100_000
_STEADY = {ENUMS["phase"].index(name) for name in ("steady", "unknown")}
_STARTUP = {ENUMS["phase"].index(name) for name in ("startup", "runtime")}
_COMPLETE = ("complete", ENUMS["coverage_state"].index("complete"))
_COVERED = ("workload", "phase", "state")
_NAMES = ("workload", "namespace", "kind", "name", "container")
# Asking costs some ten milliseconds for each thousand values: it is done the more rarely.
_RARER = 1.02
_VALUES_A_WINDOW = 1_000


def windows_for(target: float) -> int:
    """Return of how many windows without anything new at least the share *target* is like them."""
    return max(FEWEST_WINDOWS, math.ceil(poisson_bounds(0)[1] / (1 - target)))


@dataclass(slots=True)
class _Seen:
    """One value: the first and the last of the steady windows that showed it, and how many did."""

    first: int
    last: int
    windows: int = 1
    is_from_start: bool = False


@dataclass
class _Workload:
    """What one workload has shown. *windows* counts those in which it was steady."""

    name: str = "?"
    seen: dict[Sight, _Seen] = field(default_factory=dict)
    windows: int = 0
    share: float = 0.0
    next_look: int = 0
    is_over: bool = False
    is_incomplete: bool = False

    @property
    def settled(self) -> float:
        """The share of the windows to come that shows nothing new; 0 where nothing can say."""
        return 0.0 if self.is_over or self.is_incomplete else self.share

    def add(self, sight: Sight, phase: int) -> None:
        known = self.seen.get(sight)
        if known is None:
            if len(self.seen) >= MOST_VALUES:
                self.is_over = True
                return
            known = self.seen[sight] = _Seen(self.windows, self.windows)
        if phase in _STARTUP:
            known.is_from_start = True
        if known.last != self.windows:
            known.last = self.windows
            known.windows += 1

    def look(self, target: float) -> None:
        """Find out which share of the windows to come shows nothing new, at least."""
        if self.windows < max(windows_for(target), self.next_look):
            return
        pause = len(self.seen) // _VALUES_A_WINDOW
        self.next_look = max(math.ceil(self.windows * _RARER), self.windows + pause)
        values = list(_widened(self.seen))
        novelty = Novelty(
            first=np.array([one.first for one in values], float),
            last=np.array([one.last + 1 for one in values], float),
            windows=np.array([one.windows for one in values], float),
            length_s=float(self.windows),
            window_s=1.0,
        )
        self.share = novelty.settled


def _widened(seen: dict[Sight, _Seen]) -> Iterable[_Seen]:
    """Yield the values that startup had not shown, names of files as the patterns they make."""
    files = [sight for sight in seen if sight[0] == FILES]
    values: list[tuple[Dimension, AnyValue]] = [
        ("files", FileValue(path=escape(path), access=access_letters(access)))
        for _, path, access in files
    ]
    joined: dict[AnyValue | Sight, _Seen] = {
        sight: one for sight, one in seen.items() if sight[0] != FILES
    }
    for sight, value in zip(files, widened(values), strict=True):
        one, known = seen[sight], joined.get(value)
        joined[value] = one if known is None else _Seen(
            min(one.first, known.first), max(one.last, known.last),
            max(one.windows, known.windows), one.is_from_start or known.is_from_start,
        )  # fmt: skip
    return (one for one in joined.values() if not one.is_from_start)


class Settling:
    """A sink that knows when every workload that runs has settled.

    It has where at least the share *target* of the windows to come shows nothing new, as its steady
    windows up to now say. A window that is not complete keeps a workload from it for good, and so
    do more than `MOST_VALUES` values.
    """

    def __init__(self, target: float) -> None:
        self.target = target
        self._workloads: dict[int, _Workload] = {}
        self._rows: list[tuple[int, int, Sight]] = []
        self._steady: set[int] = set()
        self._running: set[int] = set()
        self._latest: set[int] = set()
        self._since_ns = 0

    # --- what a sink is told -------------------------------------------------------------------

    def append(self, table: str, columns: Columns) -> None:
        """Take rows of *table* in the open window."""
        if table == "coverage":
            self._cover(as_lists(columns))
        elif table == "workloads":
            lists = as_lists(columns)
            for number, *names in zip(*(lists[name] for name in _NAMES), strict=True):
                self._of(number).name = "/".join(escape(str(one)) for one in names if one)
        elif table == "windows":
            self._since_ns = int(as_lists(columns)["end"][-1])
        elif table in TABLES:
            self._rows += sights(table, columns, since_ns=self._since_ns)

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window: what it showed counts."""
        for workload, phase, sight in self._rows:
            if phase in _STEADY or phase in _STARTUP:
                self._of(workload).add(sight, phase)
        for workload in self._steady:
            self._of(workload).windows += 1
        for workload in self._running:
            self._of(workload).look(self.target)
            if between:
                between()
        self._rows.clear()
        self._steady.clear()
        self._latest, self._running = self._running, set()

    def look(self, span: Columns, *, between: object = None) -> None:
        """Wait for the window's end."""

    def _cover(self, lists: dict[str, list[Any]]) -> None:
        for workload, phase, state in zip(*(lists[name] for name in _COVERED), strict=True):
            self._running.add(workload)
            if phase in _STEADY:
                self._steady.add(workload)
            if state not in _COMPLETE:
                self._of(workload).is_incomplete = True

    def _of(self, workload: int) -> _Workload:
        return self._workloads.setdefault(workload, _Workload())

    # --- what it knows -------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether something ran in the last window, and all of it has settled."""
        shares = [self._of(workload).settled for workload in self._latest]
        return bool(shares) and min(shares) >= self.target

    def progress(self) -> str:
        """Return in one line how far it is, by the workload that is farthest from it."""
        running = [self._of(workload) for workload in self._latest]
        if not running:
            return "not settled: nothing runs"
        least = min(running, key=lambda one: (one.settled, one.windows, one.name))
        if least.is_incomplete:
            return f"not settled, and will not be: events of {least.name} were lost"
        if least.is_over:
            return (
                f"not settled, and will not be: {least.name} showed more than "
                f"{MOST_VALUES:,} values"
            )
        needed = windows_for(self.target)
        if least.windows < needed:
            return (
                f"not settled: {least.name} was steady in {least.windows:,} of the "
                f"{needed:,} windows that it takes at least"
            )
        state = "settled" if least.settled >= self.target else "not settled"
        return (
            f"{state}: of the windows of {least.name} to come, at least {least.settled:.2%} show "
            f"nothing new; asked for {self.target:.2%}"
        )
