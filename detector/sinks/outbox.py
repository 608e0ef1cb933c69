"""The watch's end of its sinks: puts findings into their spools, and asks nobody to wait."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from detector.sinks.destination import SEVERITIES, Destination
from detector.sinks.notices import Notices
from detector.sinks.process import END, WAKE
from detector.sinks.protocol import Sender
from detector.sinks.registry import check
from detector.sinks.sending import STATE_NAME
from detector.sinks.spool import SpoolWriter, position_of, waiting_bytes
from ethogram.contracts.escape import printable
from ethogram.contracts.event import EVENT_KINDS, EventKind
from ethogram.contracts.finding import Finding
from ethogram.errors import UsageError
from profiler import privileges

__all__ = ["SPOOL_ROOT", "Outbox", "SinkStatus"]

SPOOL_ROOT = Path("/var/lib/ethogram/sinks")
_REMEMBERED = 100_000
_GRACE_S = 5.0
_AT_ONCE, _AGAIN_S = 3, 60.0  # starts of the sender that may follow each other, and how later do

# What the sender says: it has no privilege, and may have been taken over by what a receiver said.
_SAID = ("ok", "retrying", "refusing")
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
    """One spool of a sink, and what may go there: findings, or events of these *kinds*."""

    def __init__(
        self, url: str, destination: Destination, root: Path, kinds: frozenset[str] = frozenset()
    ) -> None:
        self.url = url
        self.destination = destination
        self.kinds = kinds
        self.directory = root / (f"{destination.key}-events" if kinds else destination.key)
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
        self._sender, self._patience_s = sender, patience_s
        self._last_words = last_words
        self._told: set[str] = set()
        self._starts = 0
        self._started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._places: list[_Place] = []
        self._event_places: list[_Place] = []
        self._notices = Notices(sender)
        try:
            for url, destination in zip(urls, destinations, strict=True):
                self._places.append(_Place(url, destination, root))
                if destination.events:
                    place = _Place(url, destination, root, destination.events)
                    self._event_places.append(place)
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
        if line:
            self._wake()

    def take_events(self, lines: Mapping[EventKind, Sequence[str]], dropped: int) -> None:
        """Keep *lines* for every sink that wants their kind; *dropped* are counted for each."""
        for place in self._event_places:
            for kind, some in lines.items():
                if kind in place.kinds:
                    place.spool.add_all(some)
            place.spool.dropped += dropped
        if self._event_places:
            self._wake()

    @property
    def event_kinds(self) -> frozenset[EventKind]:
        """The kinds of events that some sink wants."""
        wanted = frozenset[str]().union(*(place.kinds for place in self._event_places))
        return frozenset(kind for kind in EVENT_KINDS if kind in wanted)

    def _wake(self) -> None:
        if self._process and self._process.stdin:
            # A pipe that is full of that, or that nobody reads, says it as well.
            with suppress(OSError):
                os.write(self._process.stdin.fileno(), WAKE)

    def _all(self) -> list[_Place]:
        return self._places + self._event_places

    def _tell_dropped(self, *, is_last: bool = False) -> None:
        """Tell receivers, where there is room again, of how much they will never get."""
        of_events = {place.url: place.spool for place in self._event_places}
        for place in self._places:
            if self._notices.tell(
                str(place.destination), place.spool, of_events.get(place.url), is_last=is_last
            ):
                self._wake()

    def standing(self) -> tuple[SinkStatus, ...]:
        """Return how the sinks stand; a sender that has ended is started again."""
        if self._process and self._process.poll() is not None and self._may_start():
            with suppress(OSError):  # it had no room for another process, or that ended at once
                self._start()
        is_running = self._process is not None and self._process.poll() is None
        self._tell_dropped()
        return tuple(_status(place, is_running=is_running) for place in self._all())

    def _may_start(self) -> bool:
        return self._starts < _AT_ONCE or time.monotonic() - self._started_s >= _AGAIN_S

    def close(self) -> tuple[SinkStatus, ...]:
        """Send what waits for as long as there is patience, and return how it ended."""
        self._tell_dropped(is_last=True)
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            patience_s = self._patience_s + _GRACE_S
            # One that was stopped takes no more words: it would be waited for without end.
            reads = select.poll()
            reads.register(process.stdin, select.POLLOUT)
            is_read = reads.poll(patience_s * 1000)
            with suppress(OSError):
                os.write(process.stdin.fileno(), END)
            if not is_read:
                process.kill()
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for place in self._all():
            place.spool.note_dropped()
        statuses = tuple(_status(place, is_running=True) for place in self._all())
        self._leave_spools()
        return statuses

    def _leave_spools(self) -> None:
        for place in self._all():
            place.spool.close()
        self._places, self._event_places = [], []

    def _start(self) -> None:
        self._starts, self._started_s = self._starts + 1, time.monotonic()
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        asked = {
            "sinks": [_asked(place) for place in self._places],
            "event_sinks": [_asked(place) for place in self._event_places],
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
            preexec_fn=_give_up if self._starts == 1 else None,  # noqa: PLW1509
        )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        os.set_blocking(self._process.stdin.fileno(), False)


def _asked(place: _Place) -> dict[str, str]:
    return {"url": place.url, "directory": str(place.directory)}


def _give_up() -> None:
    privileges.drop(frozenset())


def _status(place: _Place, *, is_running: bool) -> SinkStatus:
    place.spool.note_dropped()
    at = position_of(place.directory)
    try:
        read = json.loads((place.directory / STATE_NAME).read_bytes())
        state, error = read["state"], read["error"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        state, error = "ok", None
    return SinkStatus(
        sink=f"{place.destination} (events)" if place.kinds else str(place.destination),
        state=(state if state in _SAID else "retrying") if is_running else "stopped",
        error=None if error is None else printable(str(error)),
        sent=at.sent,
        refused=at.refused,
        damaged=at.damaged,
        dropped=place.spool.dropped,
        waiting_bytes=waiting_bytes(place.directory),
    )
