"""`--state DIR`: what a watch keeps for the next one, so that no finding is told twice.

lock            held by the watch that uses the directory
heartbeat.json  that it lives, since when it does not, and how it ended
findings.jsonl  what was told, and how often it had been seen by then
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from detector.sensor import heartbeat
from detector.sensor.heartbeat import Gap, Heartbeat, gap_since, read_heartbeat, write_heartbeat
from detector.sensor.kept_findings import NAME as FINDINGS
from detector.sensor.kept_findings import KeptFinding, KeptFindings
from ethogram.contracts.finding import Finding
from ethogram.errors import UsageError

__all__ = ["Kept"]

# A heartbeat is written so often at most.
_BEAT_NS = 10**9


class Kept:
    """The directory *directory*, made where it is not there yet. `close` in every case.

    Opened before privileges are dropped. *say* is told in a sentence what could not be read or
    written: that ends no watch. `UsageError` where the directory is another watch's, or where
    others than root could write what a watch believes.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self._directory = directory
        self.say = say
        self.run = secrets.token_hex(8)
        self._failing = False
        self._beaten_ns = 0
        self._lock = _locked(directory)
        try:
            self._findings = KeptFindings(directory)
            self.told: Mapping[str, KeptFinding] = self._findings.read()
            if self._findings.damaged:
                self._warn(
                    f"`{directory / FINDINGS}` was damaged: {self._findings.damaged} lines of it "
                    "are not believed, and may be told again; it is kept beside, as `.damaged`"
                )
            self._before = self._read_heartbeat()
        except OSError as error:
            os.close(self._lock)
            raise _unusable(directory, error) from error

    def _warn(self, words: str) -> None:
        self.say(f"warning: {words}")

    def _read_heartbeat(self) -> Heartbeat | None:
        path = self._directory / heartbeat.NAME
        try:
            return read_heartbeat(path)
        except ValueError as error:
            path.replace(path.with_name(path.name + ".damaged"))
            self._warn(
                f"`{path}` was damaged: {error}; since when nobody watched is not known; "
                "it is kept beside, as `.damaged`"
            )
            return None

    def gap(self, *, boot_id: str, boot_ns: int, utc_ns: int) -> Gap | None:
        """Return the time before now in which nobody watched; None where nobody ever did."""
        if self._before is None:
            return None
        return gap_since(self._before, boot_id=boot_id, boot_ns=boot_ns, utc_ns=utc_ns)

    def add(self, finding: Finding) -> None:
        """Keep *finding*, which was just told."""
        self._said(works=self._findings.add(finding))

    def beat(self, beat: Heartbeat) -> None:
        """Say that the watch lives, or how it ended; at most once a second while it lives."""
        if beat.state == "watching" and beat.boot_ns - self._beaten_ns < _BEAT_NS:
            return
        self._beaten_ns = beat.boot_ns
        try:
            write_heartbeat(self._directory / heartbeat.NAME, beat)
        except OSError:
            self._said(works=False)
        else:
            self._said(works=True)

    def is_touched(self) -> bool:
        """Say, once each time, whether somebody else wrote where this watch does."""
        if not self._findings.is_touched():
            return False
        self._findings.accept()
        return True

    def _said(self, *, works: bool) -> None:
        if not works and not self._failing:
            self._warn(
                f"`{self._directory}` cannot be written: after a restart findings may be told again"
            )
        self._failing = not works

    def close(self) -> None:
        """Leave the directory to the next watch."""
        self._findings.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _locked(directory: Path) -> int:
    """Return a lock on *directory*, which is root's alone from now on."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = os.fstat(place)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                raise UsageError(
                    f"others can write in `{directory}`",
                    hint="`--state` wants a directory that only root can write in: what stands "
                    "there is not told again",
                )
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open("lock", flags, 0o600, dir_fd=place)
        finally:
            os.close(place)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise UsageError(
            f"another watch uses `{directory}`", hint="name another place with `--state`"
        ) from error
    return lock


def _unusable(directory: Path, error: OSError) -> UsageError:
    why = os.strerror(error.errno or 0).lower()
    return UsageError(
        f"`{directory}` cannot be used: {why}", hint="name another place with `--state`"
    )
