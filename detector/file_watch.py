"""Waits for a change in directories, by inotify: it costs nothing while nothing happens."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FileWatch"]

_CLOSE_WRITE, _FROM, _TO, _CREATE, _DELETE = 0x08, 0x40, 0x80, 0x100, 0x200
_ONLY_DIRECTORY, _OVERFLOW, _IGNORED = 0x0100_0000, 0x4000, 0x8000
_MASK = _CLOSE_WRITE | _FROM | _TO | _CREATE | _DELETE | _ONLY_DIRECTORY
_EVENT = struct.Struct("iIII")
_BATCH, _BATCHES = 65_536, 64
_REST_S = 0.2
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
        self._woken = select.poll()
        self._woken.register(self._wake, select.POLLIN)
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLIN)

    @property
    def followed(self) -> int:
        """How many directories are watched."""
        return len(self._names)

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
        """Return whether something changed before *timeout_s* were over, or somebody woke it.

        In a busy directory much happens that does not count: that is looked at now and then.
        """
        until = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, until - time.monotonic())
            ready = [descriptor for descriptor, _ in self._poll.poll(left_s * 1000)]
            if self._wake in ready or (self._fd in ready and self._has_changed()):
                return True
            if self._fd not in ready or not left_s:
                return False
            if self._woken.poll(min(left_s, _REST_S) * 1000):
                return True

    def wake(self) -> None:
        """End a `wait`, now or later, for good."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give back what it holds; nobody may wait any more."""
        os.close(self._wake)
        if self._fd >= 0:
            os.close(self._fd)

    def _has_changed(self) -> bool:
        """Return whether something that counts is among all that is there to be read by now."""
        changed = False
        for _ in range(_BATCHES):
            try:
                data = os.read(self._fd, _BATCH)
            except BlockingIOError:
                break
            changed |= self._counts(data)
        return changed

    def _counts(self, data: bytes) -> bool:
        position, changed = 0, False
        while position < len(data):
            number, mask, _, size = _EVENT.unpack_from(data, position)
            name = os.fsdecode(
                data[position + _EVENT.size : position + _EVENT.size + size].rstrip(b"\0")
            )
            position += _EVENT.size + size
            names = self._names.get(number, frozenset())
            changed |= bool(mask & _OVERFLOW) or names is None or name in names
            if mask & _IGNORED:  # the directory is gone, and nothing comes of it any more
                self._names.pop(number, None)
        return changed
