"""Ties a session to what is served of it."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from ethogram import __version__
from profiler.telemetry.families import CONTENT_TYPE, exposition
from profiler.telemetry.probes import not_alive, not_ready
from profiler.telemetry.reading import Reading, SinkReading, WatchReading
from profiler.telemetry.server import Answer, Server
from profiler.window import WindowReport

if TYPE_CHECKING:
    from profiler.session import Session

__all__ = ["Telemetry"]

_STATES = ("attached", "refused", "absent")


class Telemetry:
    """Serves on *listener* how a session of *command* is doing. `close` in every case.

    The sensor calls `begin` and `take`; both replace the reading and return.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        command: str,
        window_s: float,
        tier: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._command, self._window_s, self._tier = command, window_s, tier
        self._events: Counter[str] = Counter(
            dict.fromkeys(("calls", "execs", "opens", "connects"), 0)
        )
        self._sinks: tuple[SinkReading, ...] = ()
        self._reading = Reading(
            command=command, version=__version__, loader="", tier=tier,
            window_s=window_s, tick_s=clock(),
        )  # fmt: skip
        self._server = Server(listener, self.answer)

    # --- what the sensor says ------------------------------------------------------------------

    def begin(self, session: Session, *, watch: WatchReading | None = None) -> None:
        """Answer from now on; the programs of *session* are attached, its privileges dropped."""
        self._reading = self._read(session, {}, watch, session.losses)
        self._server.start()

    def take_sinks(self, sinks: tuple[SinkReading, ...]) -> None:
        """Take how the sinks stand, for the next reading."""
        self._sinks = sinks

    def take(
        self,
        session: Session,
        report: WindowReport,
        *,
        workloads: Mapping[str, int],
        watch: WatchReading | None = None,
        losses: Mapping[tuple[str, str, str], int] | None = None,
    ) -> None:
        """Take the window that *report* is about; *losses* where there are more than the session's.

        They are by kind, place and workload.
        """
        self._events.update(
            calls=report.calls, execs=report.execs, opens=report.opens, connects=report.connects
        )
        self._reading = self._read(
            session, workloads, watch, session.losses if losses is None else losses
        )

    def _read(
        self,
        session: Session,
        workloads: Mapping[str, int],
        watch: WatchReading | None,
        losses: Mapping[tuple[str, str, str], int],
    ) -> Reading:
        by_place: Counter[tuple[str, str]] = Counter()
        for (kind, place, _), number in losses.items():
            by_place[kind, place] += number
        return Reading(
            command=self._command,
            version=__version__,
            loader=session.loader_name,
            tier=self._tier,
            window_s=self._window_s,
            tick_s=self._clock(),
            ended_s=session.clock.utc_ns(session.clock.boot_ns()) / 1e9
            if session.windows
            else None,
            windows=session.windows,
            programs=_programs(session),
            refused=tuple(session.refused),
            events=dict(self._events),
            lost=by_place.total(),
            losses=by_place,
            workloads=workloads,
            watch=watch,
            sinks=self._sinks,
        )

    # --- what is said to others ----------------------------------------------------------------

    def answer(self, path: str) -> Answer:
        """Return what is served at *path*."""
        reading = self._reading
        match path:
            case "/metrics":
                return Answer(HTTPStatus.OK, exposition(reading), CONTENT_TYPE)
            case "/healthz":
                problem = not_alive(reading, self._clock())
                return _probe("alive", [problem] if problem else [])
            case "/readyz":
                return _probe("ready", list(not_ready(reading, self._clock())))
        return Answer.text(HTTPStatus.NOT_FOUND, "here are /metrics, /healthz and /readyz")

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.close()


def _probe(fine: str, problems: list[str]) -> Answer:
    if problems:
        return Answer.text(HTTPStatus.SERVICE_UNAVAILABLE, *problems)
    return Answer.text(HTTPStatus.OK, fine)


def _programs(session: Session) -> dict[str, int]:
    """Count the programs by state; a refused one that nobody counts on is as good as absent."""
    counted = dict.fromkeys(_STATES, 0)
    for program in session.programs:
        is_spared = program.state == "refused" and program.name not in session.refused
        counted["absent" if is_spared else program.state] += 1
    return counted
