"""Reads what runtimes write about a container as they write it, whatever else is being done.

A container may live for a few milliseconds, and its runtime removes its state as it ends. Whoever
looks only now and then comes too late on a busy host. So a thread waits for the state directories
to change and reads what is new at once; it looks at nothing else and costs nothing in between.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from profiler.identity.reading import below

__all__ = ["StateWatch"]

_MOVED_TO, _CREATE, _CLOSE_WRITE = 0x80, 0x100, 0x08
_ONLY_DIRECTORY, _IS_DIRECTORY, _OVERFLOW, _IGNORED = 0x0100_0000, 0x4000_0000, 0x4000, 0x8000
_MASK = _MOVED_TO | _CREATE | _CLOSE_WRITE | _ONLY_DIRECTORY
_EVENT = struct.Struct("iIII")
_BATCH = 65_536
_libc = ctypes.CDLL(None, use_errno=True)


class StateWatch:
    """Calls *changed* with the directory of each container whose state below *root* is written.

    *patterns* are directories of containers; `*` stands for any one name. *changed* is called in a
    thread. Where the kernel gives no watch, it is never called: names are still looked for.
    """

    def __init__(
        self, root: Path, patterns: Sequence[str], changed: Callable[[Path], object]
    ) -> None:
        self._changed = changed
        # Of each directory that is watched: the components that lead on, by pattern. Without any
        # left it is a container's own.
        self._paths: dict[int, Path] = {}
        self._leads: dict[Path, list[tuple[str, ...]]] = {}
        self._patterns = patterns
        self._root = root
        self._fd = self._init()
        self._stop, self._stopped = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="names", daemon=True)

    @staticmethod
    def _init() -> int:
        return int(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def start(self) -> None:
        """Begin, with what is there already."""
        if self._fd >= 0:
            self._thread.start()

    def close(self) -> None:
        """End the thread, after what was written before."""
        if self._stop < 0:
            return
        os.close(self._stopped)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._stop)
        if self._fd >= 0:
            os.close(self._fd)
        self._stop = self._fd = -1

    # --- what is watched -----------------------------------------------------------------------

    def _add(self, directory: Path, leads: tuple[str, ...]) -> list[Path]:
        """Watch *directory*, and those in it that *leads* names; return the containers' found."""
        number = _libc.inotify_add_watch(self._fd, os.fsencode(directory), _MASK)
        if number < 0:
            return []
        if self._paths.get(number) != directory:
            self._paths[number] = directory
            self._leads[directory] = []
        if leads not in self._leads[directory]:
            self._leads[directory].append(leads)
        if not leads:
            return [directory]
        # What was made before the watch was there has no event.
        return [one for name in _names(directory) for one in self._follow(directory, name, leads)]

    def _follow(self, directory: Path, name: str, leads: tuple[str, ...]) -> list[Path]:
        # An empty component stands for a container, whatever its id is.
        is_next = bool(leads) and leads[0] in ("", "*", name)
        return self._add(directory / name, leads[1:]) if is_next else []

    # --- what happens --------------------------------------------------------------------------

    def _run(self) -> None:
        for pattern in self._patterns:
            first, *rest = pattern.strip("/").split("/")
            for directory in self._add(below(self._root, first), (*rest, "")):
                self._changed(directory)
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        poller.register(self._stop, select.POLLHUP)
        is_ending = False
        while not is_ending:
            ready = [descriptor for descriptor, _ in poller.poll()]
            is_ending = self._stop in ready
            if self._fd in ready:
                for directory in dict.fromkeys(self._read()):
                    self._changed(directory)

    def _read(self) -> Iterator[Path]:
        """Yield the directories of the containers that what happened is of."""
        data = os.read(self._fd, _BATCH)
        position = 0
        while position < len(data):
            number, mask, _, size = _EVENT.unpack_from(data, position)
            name = data[position + _EVENT.size :][:size].rstrip(b"\0")
            position += _EVENT.size + size
            yield from self._happened(number, mask, os.fsdecode(name))

    def _happened(self, number: int, mask: int, name: str) -> list[Path]:
        if mask & _OVERFLOW:  # what was missed is found by whoever looks now and then
            return []
        directory = self._paths.get(number)
        if directory is None:
            return []
        if mask & _IGNORED:
            del self._paths[number]
            self._leads.pop(directory, None)
            return []
        found: list[Path] = []
        for leads in tuple(self._leads.get(directory, ())):
            if not leads:
                found.append(directory)
            elif mask & _IS_DIRECTORY:
                found += self._follow(directory, name, leads)
        return found


def _names(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
