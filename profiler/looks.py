"""When to look into a window that is open still: soon after news, and not more than is fair."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ethogram.contracts.events import NO_SLOT
from profiler.instances import Instance
from profiler.ring import Records

__all__ = ["Looks"]

# What a program does at once belongs together: it is told together, and looked at once.
GATHER_NS = 2_000_000
# Processor time for looks: of one instance, and of all. What comes of a look makes it cheaper.
SHARE, ROOM_NS = 0.02, 300_000_000
SHARE_OF_ALL, ROOM_OF_ALL_NS = 0.25, 2_000_000_000
_USEFUL = 8
_KEPT = 4096


@dataclass(slots=True)
class _Credit:
    """Time that grows by a *share* of what passes, up to *room*."""

    share: float
    room: float
    left: float
    at_ns: int

    def grow(self, now_ns: int) -> float:
        self.left = min(self.room, self.left + self.share * max(0, now_ns - self.at_ns))
        self.at_ns = now_ns
        return self.left


class Looks:
    """Says when the open window is worth a look.

    Each instance has time of its own for looks that it asked for, and so all together: one that
    floods takes none of others'. An instance that did not ask for a while is heard in any case. Who
    has no time left is judged when the window ends.
    """

    def __init__(self, instance_of: Callable[[int], Instance | None]) -> None:
        self._instance_of = instance_of
        self._slots: set[int] = set()
        self._since_ns = 0
        self._of_all: _Credit | None = None
        self._own: dict[int, _Credit] = {}
        self._was_useful = False
        self._reminded_ns: int | None = None
        self.count = 0

    def remind(self, at_ns: int) -> None:
        """Ask for a look at *at_ns* since boot, whoever has news; one that comes before is that."""
        self._reminded_ns = at_ns

    def note(self, news: Iterable[Records]) -> None:
        """Take note of who has news."""
        for batch in news:
            if not len(batch.heads):
                continue
            if not self._slots:
                self._since_ns = int(batch.heads["time_ns"].min())
            self._slots.update(batch.heads["slot"].tolist())
            self._slots.discard(NO_SLOT)

    def due_ns(self, now_ns: int) -> int | None:
        """Return in how many nanoseconds to look; None: there is no reason to."""
        due = []
        if self._slots and self._heard(now_ns):
            due.append(self._since_ns + GATHER_NS)
        if self._reminded_ns is not None and self._has_time(now_ns):
            due.append(self._reminded_ns)
        return max(0, min(due) - now_ns) if due else None

    def _askers(self) -> set[int]:
        """Return the instances that have news; of those without a name nothing can be told yet."""
        found = set()
        for slot in list(self._slots):
            instance = self._instance_of(slot)
            if instance is not None and instance.verdict == "unwanted":
                self._slots.discard(slot)
            elif instance is not None and instance.verdict == "wanted":
                found.add(instance.number)
        return found

    def _has_time(self, now_ns: int) -> bool:
        if self._of_all is None:
            self._of_all = _Credit(SHARE_OF_ALL, ROOM_OF_ALL_NS, ROOM_OF_ALL_NS, now_ns)
        return self._of_all.grow(now_ns) > 0

    def _heard(self, now_ns: int) -> bool:
        has_time = self._has_time(now_ns)
        for number in self._askers():
            own = self._own.get(number)
            left = own.grow(now_ns) if own else ROOM_NS
            if left >= ROOM_NS or (has_time and left > 0):
                return True
        return False

    def found(self) -> None:
        """Take note that the look which is under way was worth it."""
        self._was_useful = True

    def begin(self) -> set[int]:
        """Return who asked, by number, and is heard now. Who has no name yet goes on asking."""
        askers = self._askers()
        self._reminded_ns = None
        self._slots = {slot for slot in self._slots if self._is_pending(slot)}
        self._was_useful = False
        return askers

    def _is_pending(self, slot: int) -> bool:
        instance = self._instance_of(slot)
        return instance is not None and instance.verdict == "pending"

    def looked(self, askers: set[int], spent_ns: int, now_ns: int) -> None:
        """Charge a look to those who asked for it, and to all."""
        share = spent_ns / max(1, len(askers)) / (_USEFUL if self._was_useful else 1)
        for number in askers:
            own = self._own.setdefault(number, _Credit(SHARE, ROOM_NS, ROOM_NS, now_ns))
            own.grow(now_ns)
            own.left -= share
        if self._of_all:
            self._of_all.left -= spent_ns
        if len(self._own) > _KEPT:
            self._own = {n: one for n, one in self._own.items() if one.grow(now_ns) < one.room}
        self.count += 1
