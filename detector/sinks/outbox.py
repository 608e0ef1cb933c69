"""The watch's end of its sinks: puts findings into their spools, and asks nobody to wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from detector.sinks.destination import SEVERITIES, Destination
from detector.sinks.process import END, WAKE
from detector.sinks.protocol import Sender
from detector.sinks.registry import check
from detector.sinks.sending import STATE_NAME
from detector.sinks.spool import SpoolWriter, position_of, waiting_bytes
from ethogram.contracts.finding import Finding
from ethogram.errors import UsageError
from profiler import privileges

__all__ = ["SPOOL_ROOT", "Outbox", "SinkStatus"]

SPOOL_ROOT = Path("/var/lib/ethogram/sinks")
_REMEMBERED = 100_000
_GRACE_S = 5.0
_LEAST_RESTART = 3

SinkState = Literal["ok", "retrying", "refusing", "stopped"]


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How one sink stands. *sent*, *refused*, *damaged* and *dropped* are of its spool's life.

    *refused* will never be taken, *damaged* was torn on the disk, *dropped* found no room there.
    """

    sink: str
    state: SinkState
    error: str | None
    sent: int
    refused: int
    damaged: int
    dropped: int
    waiting_bytes: int


class _Place:
    """One sink: its spool, and what may go there."""

    def __init__(self, destination: Destination, root: Path) -> None:
        self.destination = destination
        self.directory = root / destination.key
        self.least = SEVERITIES.index(destination.chosen("severity", SEVERITIES[0]))
        try:
            self.spool = SpoolWriter(self.directory, destination.size("spool-size", "64MB"))
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise UsageError(
                f"the spool `{self.directory}` cannot be written: {why}",
                hint="name another place with `--spool`",
            ) from error


class Outbox:
    """Where findings go beside standard output. `close` in every case.

    Made before the programs are attached: nothing of it is a thread, and the sender is a process
    without any privilege, which sends *last_words*, a finding, where this process is killed. Raises
    `UsageError` where a sink cannot work as it is written.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        sender: Sender,
        root: Path,
        patience_s: float,
        last_words: str = "",
    ) -> None:
        destinations = [Destination.parse(url) for url in urls]
        for destination in destinations:
            check(destination).open(destination, sender).close()
        keys = [destination.key for destination in destinations]
        if len(set(keys)) < len(keys):
            raise UsageError("one sink is named twice", hint="leave one of them out")
        self._urls, self._sender, self._patience_s = urls, sender, patience_s
        self._last_words = last_words
        self._told: set[str] = set()
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._places: list[_Place] = []
        try:
            for destination in destinations:
                self._places.append(_Place(destination, root))
            self._start()
        except BaseException:
            self._leave_spools()
            raise

    def take(self, finding: Finding) -> None:
        """Keep *finding* for every sink that wants it; what finds no room is counted."""
        is_new = finding.fingerprint not in self._told
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(finding.fingerprint)
        grade = SEVERITIES.index(finding.severity)
        line = None
        for place in self._places:
            if grade >= place.least:
                line = line or finding.line()
                place.spool.add(line, is_new=is_new, severity=finding.severity)
        if line and self._process and self._process.stdin:
            # A pipe that is full of that, or that nobody reads, says it as well.
            with suppress(OSError):
                os.write(self._process.stdin.fileno(), WAKE)

    def standing(self) -> tuple[SinkStatus, ...]:
        """Return how the sinks stand; a sender that has ended is started again, a few times."""
        if self._process and self._process.poll() is not None and self._starts < _LEAST_RESTART:
            self._start()
        is_running = self._process is not None and self._process.poll() is None
        return tuple(_status(place, is_running=is_running) for place in self._places)

    def close(self) -> tuple[SinkStatus, ...]:
        """Send what waits for as long as there is patience, and return how it ended."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            os.set_blocking(process.stdin.fileno(), True)
            with suppress(OSError):
                os.write(process.stdin.fileno(), END)
            process.stdin.close()
            try:
                process.wait(self._patience_s + _GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for place in self._places:
            place.spool.note_dropped()
        statuses = tuple(_status(place, is_running=True) for place in self._places)
        self._leave_spools()
        return statuses

    def _leave_spools(self) -> None:
        for place in self._places:
            place.spool.close()
        self._places = []

    def _start(self) -> None:
        asked = {
            "sinks": [
                {"url": url, "directory": str(place.directory)}
                for url, place in zip(self._urls, self._places, strict=True)
            ],
            "sender": asdict(self._sender),
            "patience_s": self._patience_s,
            "last_words": self._last_words,
        }
        self._process = subprocess.Popen(
            # `-P`: the current directory is not on the path.
            [sys.executable, "-P", "-c", "from detector.sinks.process import main; main()"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            # This process has one thread until the programs are attached; later it has no more
            # to give up than `privileges.drop` left.
            preexec_fn=_give_up if self._starts == 0 else None,  # noqa: PLW1509
        )  # fmt: skip
        self._starts += 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        os.set_blocking(self._process.stdin.fileno(), False)


def _give_up() -> None:
    privileges.drop(frozenset())


def _status(place: _Place, *, is_running: bool) -> SinkStatus:
    place.spool.note_dropped()
    at = position_of(place.directory)
    try:
        read = json.loads((place.directory / STATE_NAME).read_bytes())
    except (OSError, ValueError):
        read = {}
    return SinkStatus(
        sink=str(place.destination),
        state=read.get("state", "ok") if is_running else "stopped",
        error=read.get("error"),
        sent=at.sent,
        refused=at.refused,
        damaged=at.damaged,
        dropped=place.spool.dropped,
        waiting_bytes=waiting_bytes(place.directory),
    )
