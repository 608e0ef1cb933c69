"""Lines at the end of a file, which becomes `NAME.1`, `NAME.2` ... as it grows."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from detector.sinks.destination import Destination
from detector.sinks.protocol import LaterError, Record, rendering
from ethogram.contracts.durable import write_all
from ethogram.errors import UsageError

__all__ = ["ROTATION", "RotatingFile"]

ROTATION: Mapping[str, str] = MappingProxyType(
    {
        "size": "when the file is renamed and a new one begun, such as `100MB`, the default",
        "keep": "how many renamed files stay, 1 to 1000; 5 without it",
    }
)


class RotatingFile:
    """An outlet that writes what *render* makes of a record, a line each.

    A record is never split over two files, and half a line never stays: after a full disk the file
    ends where it did, after a kill the torn line is ended.
    """

    batch = 500

    def __init__(self, destination: Destination, render: Callable[[Record], str]) -> None:
        self._path = Path(destination.place)
        self._render = render
        self._limit_bytes = destination.size("size", "100MB")
        keep = destination.chosen("keep", "5")
        if not keep.isdecimal() or not 1 <= int(keep) <= 1000:
            raise UsageError(f"setting `keep`: `{keep}` is no number from 1 to 1000")
        self._keep = int(keep)
        self._descriptor = -1
        if not self._path.parent.is_dir():
            raise UsageError(
                f"there is no directory `{self._path.parent}`", hint="make it, or name another"
            )
        if self._path.is_symlink() or (self._path.exists() and not self._path.is_file()):
            raise UsageError(f"`{self._path}` is no plain file", hint="name a file of its own")

    def send(self, records: Sequence[Record]) -> None:
        """Write *records*; what was written of them is taken back where not all fit."""
        with rendering():
            lines = [self._render(record).encode("utf-8", "backslashreplace") for record in records]
        try:
            for chunk in self._by_file(lines):
                self._write(chunk)
        except OSError as error:
            self.close()
            raise LaterError(os.strerror(error.errno or 0).lower()) from error

    def _by_file(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Return *lines*, joined as far as they go into one file."""
        room = self._limit_bytes - self._open()
        chunks = [bytearray()]
        for line in lines:
            if room < len(line) + 1:
                chunks.append(bytearray())
                room = self._limit_bytes
            chunks[-1] += line + b"\n"
            room -= len(line) + 1
        return [bytes(chunk) for chunk in chunks]

    def _write(self, data: bytes) -> None:
        if not data:
            return
        size = self._open()
        if size and size + len(data) > self._limit_bytes:
            self._rotate()
            size = self._open()
        try:
            write_all(self._descriptor, data)
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def _open(self) -> int:
        """Have the file open, which somebody may have moved away, and return its size."""
        if self._descriptor >= 0:
            ours = os.fstat(self._descriptor)
            try:
                if os.path.samestat(ours, self._path.lstat()):
                    return ours.st_size
            except FileNotFoundError:
                pass
            self.close()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(self._path, flags, 0o600)
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise OSError(22, "Invalid argument", str(self._path))
        if found.st_size and os.pread(self._descriptor, 1, found.st_size - 1) != b"\n":
            write_all(self._descriptor, b"\n")
        return os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
