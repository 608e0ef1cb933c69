"""Executables: numbers of what was executed, their rows, and where their files can be read."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any

import numpy as np

from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import ProcessFlag
from profiler.clock import BootClock
from profiler.executed_files import Executed
from profiler.hashes import Hashes

__all__ = ["Executables"]

_EXECUTABLES = 100_000
_COLUMNS = ("exe", "path", "dev", "ino", "ctime", "nlink", "upper", "memfd", "sha256",
            "sha256_missing")  # fmt: skip
# Through so many processes of a mount namespace a file is looked for, of so many namespaces.
_PROCESSES, _NAMESPACES = 4, 4096


class Executables:
    """Numbers what was executed. Number 0 is what is not known.

    At most 100,000 are told apart: a workload may write and execute without end. `overflow` counts
    the execs of those beyond.
    """

    def __init__(self, clock: BootClock, hashes: Hashes | None = None) -> None:
        self._clock = clock
        self._hashes = hashes
        self._files = _Files()
        self._unhashed: dict[int, dict[str, Any]] = {}
        self._numbers: dict[int, int] = {0: 0}
        self.paths: dict[int, bytes] = {0: b""}
        self.overflow = 0
        self._rows: dict[int, dict[str, Any]] = {
            0: {"exe": 0, "path": b"", "dev": 0, "ino": 0, "ctime": 0, "nlink": 0, "memfd": False}
        }

    def add(self, head: np.void, path: bytes, key: int) -> int:
        """Return the number of the executable of a `process_record` whose `exe_key` is *key*."""
        self._files.saw(head)
        number = self._numbers.get(key)
        if number is not None:
            return number
        if len(self._numbers) >= _EXECUTABLES:
            self.overflow += 1
            return 0
        number = self._numbers[key] = len(self._numbers)
        flags = int(head["flags"])
        self.paths[number] = path
        self._rows[number] = {
            "exe": number,
            "path": path,
            "dev": int(head["dev"]),
            "ino": int(head["ino"]),
            # A file system of the workload's own may say any time, and one before 1970.
            "ctime": int(head["ctime_ns"].astype(np.int64)),
            "nlink": int(head["nlink"]),
            "upper": _is_upper(flags),
            "memfd": bool(flags & ProcessFlag.MEMFD),
        }
        self._files.add(number, head, path)
        return number

    def take_overflow(self) -> int:
        """Return how many execs found no number since the last call."""
        count, self.overflow = self.overflow, 0
        return count

    def number_of(self, key: int) -> int:
        """Return the number of a kernel key, 0 where it was never seen."""
        return self._numbers.get(key, 0)

    def numbers_of(self, keys: np.ndarray) -> np.ndarray:
        """Return the number of each kernel key, 0 where it was never seen."""
        unique, inverse = np.unique(keys, return_inverse=True)
        known = np.array([self._numbers.get(int(key), 0) for key in unique], np.uint32)
        return known[inverse] if len(unique) else np.zeros(0, np.uint32)

    def take_rows(self, used: set[int]) -> dict[str, list[Any]]:
        """Return columns of `executables` for those in *used* that were not given out before.

        What only workloads executed that nobody asked for is none of a recording's business.
        """
        self._take_hashes()
        numbers = sorted(used & self._rows.keys())
        rows = [self._rows.pop(number) for number in numbers]
        for number, row in zip(numbers, rows, strict=True):
            self._have_hashed(number, row)
        return {name: [row.get(name) for row in rows] for name in _COLUMNS}

    def settle(self, used: set[int], limit_s: float) -> None:
        """Have the digests of those in *used* found, if that takes no longer than *limit_s*."""
        if self._hashes is None:
            return
        for number in sorted(used & self._rows.keys()):
            self._have_hashed(number, self._rows[number])
        self._hashes.settle(limit_s)

    def _have_hashed(self, number: int, row: dict[str, Any]) -> None:
        file = self._files.take(number)
        if self._hashes is not None and file is not None:
            self._unhashed[number] = row
            self._hashes.ask(number, file, is_urgent=row["upper"] is not False)

    def _take_hashes(self) -> None:
        """Give rows out once more whose digest was found, or cannot be."""
        for exe, digest, why in self._hashes.take() if self._hashes else ():
            row = self._unhashed.pop(exe)
            self._rows[exe] = row | {"sha256": digest, "sha256_missing": why}


def _is_upper(flags: int) -> bool | None:
    return bool(flags & EventFlag.UPPER_LAYER) if flags & EventFlag.OVERLAY else None


class _Files:
    """Knows of executables that have no digest yet what their files are, and who may have them."""

    def __init__(self) -> None:
        self._files: dict[int, tuple[np.void, bytes]] = {}
        # By mount namespace: its first process, which lives long in a container, and the newest.
        self._processes: OrderedDict[int, list[int]] = OrderedDict()

    def saw(self, head: np.void) -> None:
        """Take note of a process that executed something."""
        namespace, process = int(head["namespaces"][0]), int(head["tgid"])
        known = self._processes.setdefault(namespace, [])
        self._processes.move_to_end(namespace)
        if process not in known:
            known.append(process)
            del known[1:-_PROCESSES]
        if len(self._processes) > _NAMESPACES:
            self._processes.popitem(last=False)

    def add(self, number: int, head: np.void, path: bytes) -> None:
        """Keep what says which file executable *number* is; nothing where that is not known."""
        if head["ino"]:
            self._files[number] = head.copy(), path  # else all heads that came with it are kept

    def take(self, number: int) -> Executed | None:
        """Return the file of executable *number* once, None where it is not known."""
        if number not in self._files:
            return None
        head, path = self._files.pop(number)
        others = self._processes.get(int(head["namespaces"][0]), [])
        processes = (int(head["tgid"]), *others[::-1], int(head["ppid"]), 1, os.getpid())
        return Executed(
            path=path,
            dev=int(head["dev"]),
            ino=int(head["ino"]),
            ctime_ns=int(head["ctime_ns"]),
            is_memory=bool(int(head["flags"]) & ProcessFlag.MEMFD),
            processes=tuple(dict.fromkeys(processes)),
        )
