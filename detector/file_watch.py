"""Waits for a change in directories, by inotify: it costs nothing while nothing happens."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FileWatch"]

_CLOSE_WRITE, _FROM, _TO, _CREATE, _DELETE = 0x08, 0x40, 0x80, 0x100, 0x200
_ONLY_DIRECTORY, _OVERFLOW = 0x0100_0000, 0x4000
_MASK = _CLOSE_WRITE | _FROM | _TO | _CREATE | _DELETE | _ONLY_DIRECTORY
_EVENT = struct.Struct("iIII")
_BATCH = 65_536
_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """Tells when something changed in one of the directories that it is told to *follow*.

    Where the kernel gives no watch, nothing is ever told: whoever waits looks by himself at times.
    """

    def __init__(self) -> None:
        self._fd = int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._names: dict[int, frozenset[str] | None] = {}
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLIN)

    def follow(self, directories: Iterable[tuple[Path, frozenset[str] | None]]) -> None:
        """Watch *directories*, each for the names that count there, None for all of them."""
        for directory, names in directories:
            if self._fd < 0:
                return
            number = _libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
            if number < 0:
                continue
            known = self._names.get(number, frozenset())
            self._names[number] = None if names is None or known is None else known | names

    def wait(self, timeout_s: float) -> bool:
        """Return whether something changed before *timeout_s* were over, or somebody woke it."""
        ready = [descriptor for descriptor, _ in self._poll.poll(timeout_s * 1000)]
        if self._wake in ready:
            return True
        return self._fd in ready and self._has_changed()

    def wake(self) -> None:
        """End a `wait`, now or later, for good."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give back what it holds; nobody may wait any more."""
        os.close(self._wake)
        if self._fd >= 0:
            os.close(self._fd)

    def _has_changed(self) -> bool:
        try:
            data = os.read(self._fd, _BATCH)
        except BlockingIOError:
            return False
        position, changed = 0, False
        while position < len(data):
            number, mask, _, size = _EVENT.unpack_from(data, position)
            name = os.fsdecode(data[position + _EVENT.size :][:size].rstrip(b"\0"))
            position += _EVENT.size + size
            names = self._names.get(number, frozenset())
            changed |= bool(mask & _OVERFLOW) or names is None or name in names
        return changed
