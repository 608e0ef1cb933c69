"""The sender: a process beside the watch, which nothing that a receiver does can hold up.

It reads from standard input: one line of JSON that says where to, then a byte for whatever comes
into a spool, and `E` for the end of the watch. Where its end comes without, the watch was killed:
that is sent as well, and what did not arrive soon stays on the disk for the next.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from detector.sinks.destination import Destination
from detector.sinks.last_words import say_last
from detector.sinks.protocol import Outlet, Record, Sender
from detector.sinks.registry import check
from detector.sinks.sending import Sending, in_words, tell_state
from detector.sinks.spool import SpoolReader, lock
from ethogram.errors import EthogramError

__all__ = ["END", "WAKE", "main"]

WAKE, END = b"w", b"E"
_LAST_WORDS_S = 5.0
_AGAIN_S = 10.0
_Begun = TypeVar("_Begun")


class _Bell:
    """Rings for every sender at once; knows when the watch has ended."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rung = 0
        self._heard: dict[str, int] = {}
        self.is_over = False

    def ring(self, *, is_over: bool = False) -> None:
        with self._condition:
            self._rung += 1
            self.is_over = self.is_over or is_over
            self._condition.notify_all()

    def idle_as(self, name: str) -> Callable[[float], None]:
        """Return what waits for a ring that *name* did not hear yet, so many seconds at most."""

        def idle(seconds: float) -> None:
            with self._condition:
                self._condition.wait_for(
                    lambda: self._rung > self._heard.get(name, 0), timeout=seconds
                )
                self._heard[name] = self._rung

        return idle

    def pause(self, seconds: float) -> None:
        """Wait so many seconds; the end of the watch alone cuts it short, and only once."""
        with self._condition:
            was_over = self.is_over
            self._condition.wait_for(lambda: self.is_over != was_over, timeout=seconds)


def main() -> None:
    """Send until the watch ends, and then what is left for as long as it said."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(0, "rb", buffering=0, closefd=False) as unread:  # a descriptor
        asked = json.loads(unread.readline())  # nothing beyond the line is taken
    bell = _Bell()
    sender = Sender(**asked["sender"])
    # Findings and events of one sink have a spool and a thread each, and a file is one.
    locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
    threads = [
        threading.Thread(target=_send, args=(one, sender, bell, locks[one["url"]]), daemon=True)
        for one in (*asked["sinks"], *asked["event_sinks"])
    ]
    for thread in threads:
        thread.start()
    while (read := os.read(0, 4096)) and END not in read:
        bell.ring()
    if not read and asked["last_words"]:
        with suppress(Exception):  # what waits is sent, whatever becomes of that
            say_last(asked["last_words"], asked["sinks"])
    bell.ring(is_over=True)
    # The next watch may be there soon, and its sender waits for this one.
    patience_s = asked["patience_s"] if read else min(asked["patience_s"], _LAST_WORDS_S)
    until = time.monotonic() + patience_s
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    os._exit(0)  # a thread may be in the middle of a connection


class _InTurn:
    """An outlet that is asked by one thread at a time."""

    def __init__(self, outlet: Outlet, turn: threading.Lock) -> None:
        self._outlet, self._turn = outlet, turn
        self.batch = outlet.batch

    def send(self, records: Sequence[Record]) -> None:
        with self._turn:
            self._outlet.send(records)

    def close(self) -> None:
        self._outlet.close()


def _send(asked: dict[str, Any], sender: Sender, bell: _Bell, turn: threading.Lock) -> None:
    directory = Path(asked["directory"])
    destination = Destination.parse(asked["url"])
    # Of a watch that was killed, until its sender ended.
    held = _tried(lambda: lock(directory / "sending", wait=True), directory, bell)
    outlet = _tried(lambda: check(destination).open(destination, sender), directory, bell)
    if held is None or outlet is None:
        return
    Sending(
        SpoolReader(directory),
        _InTurn(outlet, turn) if destination.transport == "file" else outlet,
        directory=directory,
        idle=bell.idle_as(str(directory)),
        pause=bell.pause,
        is_over=lambda: bell.is_over,
    ).run()


def _tried(begin: Callable[[], _Begun], directory: Path, bell: _Bell) -> _Begun | None:
    """Return what *begin* does; it is tried again until the watch ends, and that is said.

    A file that the settings name may be gone for a moment: it was there when the watch began.
    """
    for failures in count():
        try:
            return begin()
        except Exception as error:  # a plugin raises what its own library raises
            why = error.message if isinstance(error, EthogramError) else in_words(error)
            tell_state(directory, "retrying", why, failures=failures + 1)
        if bell.is_over:
            break
        bell.pause(_AGAIN_S)
    return None
