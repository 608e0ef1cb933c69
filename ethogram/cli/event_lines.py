"""Lines for standard output that nobody waits for: a thread writes them, and a full queue drops."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ethogram.cli.screen import count, say
from ethogram.errors import UsageError

if TYPE_CHECKING:
    from detector.events import WantedEvents
    from detector.sinks.outbox import Outbox
    from ethogram.contracts.event import EventKind
    from ethogram.contracts.finding import Finding
    from ethogram.contracts.incident import Incident

__all__ = ["EventLines", "lines_of", "wanted_of"]

_LIMIT_BYTES = 32 << 20
_DESCRIPTOR = 1


def lines_of(events: str | None, output_format: str | None) -> EventLines | None:
    """Return what prints the kinds that the option `--events` names; None where it names none."""
    if events is None:
        return None
    if output_format == "text":
        raise UsageError("`--events` prints JSON lines", hint="leave out `--format text`")
    return EventLines(_kinds_of(events))


def _kinds_of(text: str) -> frozenset[EventKind]:
    from ethogram.contracts.event import EVENT_KINDS

    names = dict.fromkeys(text.split(","))
    for name in names:
        if name not in EVENT_KINDS:
            known = " or ".join(f"`{kind}`" for kind in EVENT_KINDS)
            raise UsageError(f"`--events`: there is no kind `{name}`", hint=f"name {known}")
    return frozenset(kind for kind in EVENT_KINDS if kind in names)


class EventLines:
    """Writes findings, incidents and events to standard output, in order. `close` in every case.

    Events that find more than 32 MiB before them are dropped and counted; findings never are.
    """

    def __init__(self, kinds: frozenset[EventKind]) -> None:
        self.kinds = kinds
        self.dropped = self._told = 0
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_over = False
        self._failure: OSError | None = None

    def show(self, told: Finding | Incident) -> None:
        """Write *told*."""
        self._add(told.line().encode("utf-8", "backslashreplace") + b"\n", is_event=False)

    def show_incident(self, incident: Incident) -> None:
        """Print *incident*."""
        self.show(incident)

    def settle(self) -> None:
        """Print what waits: here nothing does."""

    def take(self, lines: Mapping[EventKind, Sequence[str]], dropped: int) -> None:
        """Write *lines* of the kinds that are wanted; *dropped* were too many for the watch."""
        self.dropped += dropped
        for kind in sorted(self.kinds & lines.keys()):
            self._add("".join(f"{line}\n" for line in lines[kind]).encode("utf-8",
                      "backslashreplace"), is_event=True, number=len(lines[kind]))  # fmt: skip

    def say_dropped(self) -> None:
        """Say on standard error how many events were dropped since this was asked last."""
        if self.dropped > self._told:
            say(f"warning: {count(self.dropped - self._told, 'event')} dropped: standard output "
                "is read too slowly, or there were too many at once")  # fmt: skip
            self._told = self.dropped

    def _add(self, data: bytes, *, is_event: bool, number: int = 1) -> None:
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if is_event and self._bytes + len(data) > _LIMIT_BYTES:
                self.dropped += number
                return
            self._waiting.append(data)
            self._bytes += len(data)
            self._changed.notify()
        if self._thread is None:
            # Not before: privileges are dropped thread by thread.
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_over)
                if not self._waiting:
                    return
                data = self._waiting[0]
            try:
                _write_all(data)
            except OSError as error:
                with self._changed:
                    self._failure = error
                return
            with self._changed:
                self._waiting.popleft()
                self._bytes -= len(data)

    def close(self) -> None:
        """Return once everything is written, or nobody reads."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread:
            self._thread.join()
        self.say_dropped()


def wanted_of(lines: EventLines | None, outbox: Outbox | None) -> WantedEvents | None:
    """Return the events that *lines* and *outbox* want, None where they want none."""
    from detector.events import WantedEvents

    kinds = (lines.kinds if lines else frozenset()) | (outbox.event_kinds if outbox else set())

    def take(told: Mapping[EventKind, Sequence[str]], dropped: int) -> None:
        if outbox:
            outbox.take_events(told, dropped)
        if lines:
            lines.take(told, dropped)

    return WantedEvents(kinds, take) if kinds else None


def _write_all(data: bytes) -> None:
    sys.stdout.flush()
    view = memoryview(data)
    while view:
        view = view[os.write(_DESCRIPTOR, view) :]
