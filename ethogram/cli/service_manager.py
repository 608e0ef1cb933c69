"""What systemd is told of a watch, where it asks: sd_notify(3), in its documented protocol."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ethogram.cli.screen import say

__all__ = ["ServiceManager"]


class ServiceManager:
    """Sends states to the socket that the environment names; to nobody where it names none.

    The sensor waits for nobody: what the socket does not take at once is left out.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        window_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._socket = _connected(environment.get("NOTIFY_SOCKET", ""))
        self._every_s = _watchdog_s(environment) / 2
        self._said_s = 0.0
        self._words = ""
        if self._socket and 0 < self._every_s < window_s:
            say(
                f"warning: WatchdogSec= is {2 * self._every_s:g} s and a window {window_s:g} s: "
                "the service manager takes the watch for stuck; make it several windows"
            )

    def ready(self) -> None:
        """Say that the programs are attached."""
        self._send("READY=1\nSTATUS=watching\n")

    def lives(self, words: str) -> None:
        """Say that a window ended, and *words* of how things stand."""
        now_s = self._clock()
        lines = f"STATUS={words}\n" if words != self._words else ""
        # A quarter of the time that is given: half of it, as is advised, may fall between windows.
        if self._every_s and now_s - self._said_s >= self._every_s / 2:
            lines += "WATCHDOG=1\n"
            self._said_s = now_s
        self._words = words
        if lines:
            self._send(lines)

    def close(self) -> None:
        """Say that it ends."""
        self._send("STOPPING=1\n")
        if self._socket:
            self._socket.close()
            self._socket = None

    def _send(self, lines: str) -> None:
        if self._socket:
            with suppress(OSError):
                self._socket.send(lines.encode(), socket.MSG_DONTWAIT)


def _connected(place: str) -> socket.socket | None:
    """Return a socket to *place*: a path, or after `@` a name without one."""
    if not place.startswith(("/", "@")):
        return None
    address = "\0" + place[1:] if place.startswith("@") else place
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        found.connect(address)
    except OSError as error:
        found.close()
        say(f"warning: the service manager's `{place}` does not answer: {error.strerror}")
        return None
    return found


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Return how long a silence systemd allows, 0.0 where it does not watch this process."""
    try:
        if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            return 0.0
        return max(0, int(environment["WATCHDOG_USEC"])) / 1e6
    except (KeyError, ValueError):
        return 0.0
