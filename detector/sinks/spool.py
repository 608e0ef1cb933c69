"""What waits for one sink: segments of lines on the disk, in order, and how far they were sent.

    writing        locked by the watch that adds to it
    sending        locked by the sender that takes from it
    N.segment      lines `CRC32 new|again JSON`; N counts up
    position.json  how far they have arrived; what never will is counted there
    dropped        how many there was no room for
    dropped-told   of how many of these the receiver was told

The watch appends, the sender reads and deletes: neither waits for the other. A line is whole once
it has its line end; what a killed watch or a power loss left half is damaged, and counted. A sender
that is killed sends again what its receiver had not confirmed: at least once, never less.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from detector.sinks.protocol import Record
from ethogram.contracts.durable import TEMPORARY_SUFFIX, create_file, replace_file
from ethogram.errors import UsageError

__all__ = ["Position", "SpoolReader", "SpoolWriter", "position_of", "waiting_bytes"]

_SUFFIX = ".segment"
_SEGMENTS = 16  # of a full spool: so much of it, one part, is given back at once
_RESERVED = 10  # one part in so many is for what is high or critical
_GRAVE = frozenset({"high", "critical"})
_READ_BYTES = 1 << 20
_LINES = 50  # of events that are written, or dropped, together


@dataclass(frozen=True, slots=True)
class Position:
    """How far a spool was sent: *offset* bytes into the segment *number*; totals of its life."""

    number: int = 0
    offset: int = 0
    sent: int = 0
    refused: int = 0
    damaged: int = 0


def position_of(directory: Path) -> Position:
    """Return how far the spool in *directory* was sent; its beginning where nobody wrote that."""
    try:
        read = json.loads((directory / "position.json").read_bytes())
        return Position(**{name: max(0, int(read[name])) for name in Position.__slots__})
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Position()


def waiting_bytes(directory: Path) -> int:
    """Return how many bytes of the spool in *directory* were not sent yet."""
    at = position_of(directory)
    waiting = 0
    for number, path in _segments(directory):
        size = _size(path)
        waiting += size if number > at.number else size - at.offset if number == at.number else 0
    return max(0, waiting)


class SpoolWriter:
    """The end of a spool that a watch holds. It adds, or counts; it never raises for one record."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = lock(directory / "writing", wait=False)
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._segment_bytes = max(4096, limit_bytes // _SEGMENTS)
        # A segment whose end is torn is never continued.
        self._number = max((number for number, _ in _segments(directory)), default=0)
        self._number = max(self._number, position_of(directory).number)
        self._descriptor = -1
        self._written = 0
        self._full_size = self._size_on_disk()
        self.added = 0
        self.dropped = self._told_dropped = _number_in(directory / "dropped")
        self._told_receiver = min(self.dropped, _number_in(directory / "dropped-told"))

    def add(self, line: str, *, is_new: bool, severity: str) -> bool:
        """Keep *line* until it is sent; False where there is no room, or no disk, for it."""
        body = line.encode("utf-8", "backslashreplace")
        data = b"%08x %s %s\n" % (zlib.crc32(body), b"new" if is_new else b"again", body)
        try:
            has_room = self._has_room(len(data), severity) and self._append(data)
        except OSError:
            has_room = False
        if has_room:
            self.added += 1
        else:
            self.dropped += 1
        return has_room

    def add_all(self, lines: Sequence[str]) -> int:
        """Keep *lines*, a few hundred at once; return for how many there was no room."""
        before = self.dropped
        for start in range(0, len(lines), _LINES):
            some = lines[start : start + _LINES]
            bodies = [line.encode("utf-8", "backslashreplace") for line in some]
            data = b"".join(b"%08x new %s\n" % (zlib.crc32(body), body) for body in bodies)
            try:
                has_room = self._has_room(len(data), "info") and self._append(data)
            except OSError:
                has_room = False
            if has_room:
                self.added += len(some)
            else:
                self.dropped += len(some)
        return self.dropped - before

    def add_notice(self, line: str, *, is_new: bool) -> bool:
        """Keep *line*, a word on what was dropped; False, and nothing is counted, without room."""
        dropped = self.dropped
        is_kept = self.add(line, is_new=is_new, severity="high")
        self.dropped = dropped
        return is_kept

    @property
    def untold(self) -> int:
        """How many were dropped since the receiver was told of it."""
        return self.dropped - self._told_receiver

    def say_told(self) -> None:
        """Remember that the receiver is told of all that was dropped so far."""
        self._told_receiver = self.dropped
        with suppress(OSError):
            text = str(self.dropped).encode()
            replace_file(self._directory / "dropped-told", text, sync=False)

    def note_dropped(self) -> None:
        """Write down how many were dropped, for the next watch to go on from."""
        if self.dropped == self._told_dropped:
            return
        try:
            text = str(self.dropped).encode()
            replace_file(self._directory / "dropped", text, sync=False)
            self._told_dropped = self.dropped
        except OSError:
            pass  # tried again after the next window

    def close(self) -> None:
        """Leave the spool to another."""
        self.note_dropped()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        os.close(self._lock)

    def _has_room(self, size: int, severity: str) -> bool:
        limit = self._limit_bytes
        if severity not in _GRAVE:
            limit -= limit // _RESERVED
        if self._full_size + size <= limit:
            return True
        self._full_size = self._size_on_disk()  # something may have been sent
        return self._full_size + size <= limit

    def _size_on_disk(self) -> int:
        return sum(_size(path) for _, path in _segments(self._directory))

    def _append(self, data: bytes) -> bool:
        if self._descriptor < 0 or self._written + len(data) > self._segment_bytes:
            self._begin()
        done = os.write(self._descriptor, data)
        if done < len(data):  # the disk is full: half a line is none
            os.ftruncate(self._descriptor, self._written)
            os.lseek(self._descriptor, self._written, os.SEEK_SET)
            return False
        self._written += done
        self._full_size += done
        return True

    def _begin(self) -> None:
        path = self._directory / f"{self._number + 1:016d}{_SUFFIX}"
        descriptor = create_file(path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._written = descriptor, 0
        self._number += 1


class SpoolReader:
    """The end of a spool that the sender holds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.position = position_of(directory)
        for path in directory.glob(f"*{TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)

    def take(self, most: int) -> tuple[list[Record], Position]:
        """Return the next records, *most* of them, and the position once they are sent.

        None are returned where nothing waits. What is damaged is passed over, and counted.
        """
        records: list[Record] = []
        at = self.position
        for number, path in _segments(self._directory):
            if number < at.number:
                continue
            if number > at.number:
                at = replace(at, number=number, offset=0)
            taken, at = _read(path, at, most - len(records), is_last=self._is_last(number))
            records += taken
            if len(records) >= most or at.offset < _size(path):
                break  # what is left of this segment comes before the next
        return records, replace(at, sent=at.sent + len(records))

    def commit(self, position: Position) -> None:
        """Say that everything up to *position* has arrived; `OSError` leaves it to be said again.

        Segments before it are deleted.
        """
        self.position = position
        data = json.dumps(asdict(position)).encode() + b"\n"
        replace_file(self._directory / "position.json", data, sync=False)
        for number, path in _segments(self._directory):
            whole = number == position.number and not self._is_last(number)
            if number < position.number or (whole and _size(path) <= position.offset):
                path.unlink(missing_ok=True)

    def _is_last(self, number: int) -> bool:
        return not any(other > number for other, _ in _segments(self._directory))


def lock(path: Path, *, wait: bool) -> int:
    """Return a descriptor that holds the lock *path*; it ends with the process at the latest."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(
            f"another watch writes to the spool `{path.parent}`",
            hint="give this one a place of its own with `--spool`",
        ) from error
    return descriptor


def _read(path: Path, at: Position, most: int, *, is_last: bool) -> tuple[list[Record], Position]:
    """Return at most *most* records of *path* from *at*, and where they end."""
    try:
        with path.open("rb") as file:
            file.seek(at.offset)
            data = file.read(_READ_BYTES)
            while b"\n" not in data and (more := file.read(_READ_BYTES)):
                data += more
            is_whole = file.tell() >= os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return [], at
    records: list[Record] = []
    offset, damaged = at.offset, at.damaged
    for line in _lines(data):
        if len(records) >= most:
            break
        if not line.endswith(b"\n"):
            if is_last or not is_whole:
                break  # it may yet become whole, or the rest of it was not read
            offset, damaged = offset + len(line), damaged + 1
            break
        offset += len(line)
        record = _record(line)
        if record is None:
            damaged += 1
        else:
            records.append(record)
    return records, replace(at, offset=offset, damaged=damaged)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def _record(line: bytes) -> Record | None:
    try:
        checksum, kind, body = line[:-1].split(b" ", 2)
        if int(checksum, 16) != zlib.crc32(body) or kind not in {b"new", b"again"}:
            return None
        text = body.decode()
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return Record(kind == b"new", text, read) if isinstance(read, dict) else None


def _segments(directory: Path) -> list[tuple[int, Path]]:
    found = []
    for entry in os.scandir(directory):
        stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122  # of names, not of paths
        if suffix == _SUFFIX and stem.isdecimal():
            found.append((int(stem), Path(entry.path)))
    return sorted(found)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _number_in(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 0
