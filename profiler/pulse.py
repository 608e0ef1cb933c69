"""Asks the kernel side for a sign: a cgroup that is made and removed has to be reported."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from ethogram.contracts.events import RecordKind
from profiler.ring import Records

__all__ = ["Pulse"]

_EVERY_NS = 10 * 10**9
# A sign that did not come by then does not come any more: rings are emptied many times a second.
_LATE_NS = 5 * 10**9


class Pulse:
    """Makes and removes a cgroup in *parent* now and then, and waits to be told of it.

    No process ever is in it. Where none can be made, in a read-only hierarchy say, it `is_able` no
    more, and nothing is late.
    """

    def __init__(self, parent: Path, *, every_ns: int = _EVERY_NS, late_ns: int = _LATE_NS) -> None:
        self._parent = parent
        self._every_ns, self._late_ns = every_ns, late_ns
        self._number: int | None = None  # of the cgroup that nothing was heard of yet
        self._made_ns = 0
        self._is_told = False
        self.is_able = True
        self.heard_ns: int | None = None

    def prepare(self) -> None:
        """Make *parent*, while that is allowed."""
        try:
            self._parent.mkdir(mode=0o755, exist_ok=True)
        except OSError:
            self.is_able = False

    def beat(self, now_ns: int) -> None:
        """Make a cgroup where it is time for one."""
        if not self.is_able or self._number is not None or now_ns - self._made_ns < self._every_ns:
            return
        place = self._parent / secrets.token_hex(8)
        try:
            place.mkdir(mode=0o755)
            self._number = place.stat().st_ino
            place.rmdir()
        except OSError:
            self.is_able, self._number = False, None
        self._made_ns = now_ns

    def take(self, records: Mapping[RecordKind, Iterable[Records]], now_ns: int) -> None:
        """Take what rings held."""
        if self._number is None:
            return
        for batch in records.get(RecordKind.CGROUP, ()):
            if (batch.heads["cgroup_id"] == self._number).any():
                self.heard_ns, self._number, self._is_told = now_ns, None, False

    def is_silent(self, now_ns: int) -> bool:
        """Say, once for each time that it begins, whether a sign did not come."""
        if self._number is None or now_ns - self._made_ns < self._late_ns:
            return False
        self._number = None  # the next one may be heard
        was_told, self._is_told = self._is_told, True
        return not was_told
