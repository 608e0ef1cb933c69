"""The findings that were told, kept for the next run: lines of them, in the order they came.

A line is added after it was told, so that a watch that is killed tells one again rather than never.
Nothing is synced: a killed process loses nothing of it, a power loss ends the containers as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ethogram.contracts.durable import replace_file
from ethogram.contracts.finding import FINDING_SCHEMA, Finding
from ethogram.contracts.plain_file import open_plain

__all__ = ["NAME", "KeptFinding", "KeptFindings"]

NAME = "findings.jsonl"
# So many lines, the newest ones, each of a finding in an instance, are kept.
_MOST = 5000
_LIMIT_BYTES = 32 << 20
_KEPT_BYTES = 8 << 20
_SKIPPED = 100  # so many are not kept before a compaction that failed is tried again
_DAMAGED = ".damaged"

_Key = tuple[str, str]  # fingerprint and instance


@dataclass(slots=True)
class KeptFinding:
    """A finding by its last line, and the instances it was told of. Read once it is needed."""

    line: bytes
    instances: set[str] = field(default_factory=set)

    def finding(self) -> Finding | None:
        """Return the finding; None where the line is none of this version's."""
        try:
            return Finding.model_validate_json(self.line)
        except ValueError:
            return None


class KeptFindings:
    """The file NAME in *directory*. `read` first; `add` never raises, and says if it could."""

    def __init__(self, directory: Path, *, most: int = _MOST) -> None:
        self._path = directory / NAME
        self._most = most
        self._descriptor = -1
        self._lines = 0
        self._size = 0
        # Where the last line of each finding in each instance stands, the newest at the end.
        self._places: dict[_Key, tuple[int, int]] = {}
        self._compact_at = 4 * most
        self._given_up = 0
        self.damaged = 0

    def read(self) -> dict[str, KeptFinding]:
        """Return what was told, by fingerprint, and begin to add to it. `OSError` as of files.

        Lines that are damaged are left out; the file that had them is kept aside. What a killed
        watch left half of its last line is no damage.
        """
        lines = self._newest(self._read_bytes())
        found: dict[str, KeptFinding] = {}
        for (fingerprint, instance), line in lines.items():
            one = found.setdefault(fingerprint, KeptFinding(line))
            one.line = line
            one.instances.add(instance)
        if self.damaged:
            self._path.replace(self._path.with_name(NAME + _DAMAGED))
        self._rewrite(lines)
        return found

    def _read_bytes(self) -> bytes:
        try:
            with open_plain(self._path) as file:
                data = file.read(_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return b""
        if len(data) > _LIMIT_BYTES:
            self.damaged += 1
        return data[:_LIMIT_BYTES]

    def _newest(self, data: bytes) -> dict[_Key, bytes]:
        """Return the last line of each finding in each instance, the newest at the end."""
        newest: dict[_Key, bytes] = {}
        whole, _, _ = data.rpartition(b"\n")
        for line in whole.split(b"\n") if whole else ():
            key = _key(line)
            if key is None:
                self.damaged += 1
                continue
            newest.pop(key, None)
            newest[key] = line
        size = sum(map(len, newest.values()))
        for key in list(newest):
            if len(newest) <= self._most and size <= _KEPT_BYTES:
                break
            size -= len(newest.pop(key))
        return newest

    def _rewrite(self, lines: Mapping[_Key, bytes]) -> None:
        replace_file(self._path, b"".join(line + b"\n" for line in lines.values()), sync=False)
        self._open()
        self._lines = len(lines)
        self._places, at = {}, 0
        for key, line in lines.items():
            self._places[key] = at, len(line)
            at += len(line) + 1

    def _open(self) -> None:
        self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags)
        self._size = os.fstat(self._descriptor).st_size

    def add(self, finding: Finding) -> bool:
        """Keep *finding* as it was told; False where the disk takes nothing."""
        data = finding.line().encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._lines >= self._compact_at or self._size + len(data) > _LIMIT_BYTES:
                if self._given_up:
                    self._given_up -= 1
                    return False
                self._compact()
            if self._descriptor < 0:
                self._rewrite({})
            done = os.write(self._descriptor, data)
            if done < len(data):  # the disk is full: half a line is none
                os.ftruncate(self._descriptor, self._size)
                return False
        except OSError:
            return False
        key = finding.fingerprint, finding.instance_key
        self._places.pop(key, None)
        self._places[key] = self._size, done - 1
        self._lines += 1
        self._size += done
        return True

    def _compact(self) -> None:
        """Write the newest lines anew: few are read for it, since where they stand is known."""
        self._given_up = _SKIPPED  # where that fails it is not tried each time
        kept, size = 0, 0
        for _, length in reversed(self._places.values()):
            size += length
            if kept >= self._most or size > _KEPT_BYTES:
                break
            kept += 1
        some = islice(self._places.items(), len(self._places) - kept, None)
        lines = {key: os.pread(self._descriptor, length, at) for key, (at, length) in some}
        # Whoever cut the file short is told of when the window ends.
        self._rewrite({key: line for key, line in lines.items() if line.endswith(b"}")})
        self._given_up = 0

    def is_touched(self) -> bool:
        """Say whether somebody else wrote, cut, replaced or removed the file."""
        if self._descriptor < 0:
            return False
        try:
            there = self._path.lstat()
        except OSError:
            return True
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) or (
            ours.st_size != self._size
        )

    def accept(self) -> None:
        """Go on with a new file after somebody touched the old one."""
        with suppress(OSError):
            self._rewrite(self._newest(self._read_bytes()))

    def close(self) -> None:
        """Leave the file to the next watch."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _key(line: bytes) -> _Key | None:
    try:
        read = json.loads(line)
        if read["schema"] != FINDING_SCHEMA:
            return None
        fingerprint, instance = read["fingerprint"], read["instance_key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_text = isinstance(fingerprint, str) and isinstance(instance, str)
    return (fingerprint, instance) if is_text else None
