"""Looks after the sensor while it watches: what is done to it becomes a finding of its own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from detector.findings import Findings, Whose
from detector.live import Live
from detector.sensor.clocks import ClockWatch, Continued, read_clocks
from detector.sensor.heartbeat import Gap, Heartbeat, utc_words
from detector.sensor.kept import Kept
from detector.sensor.quotas import floods
from detector.sensor.reading import SensorStatus
from detector.sensor.telling import sensor_whose, sighting_of
from detector.sensor.troubles import RULES, Trouble
from detector.states import States
from detector.watched import Watched
from ethogram.contracts.finding import Severity
from profiler.telemetry.reading import SensorReading

if TYPE_CHECKING:
    from profiler.session import Session

__all__ = ["Guard"]

# Links and who traces this process are looked at so often at most.
_LOOK_NS = 10**9
_STATUS = Path("/proc/self/status")


class Guard:
    """Tells *findings* what was done to the sensor of *session*. `close` in every case.

    *kept* is what the watch before left, where that is kept at all.
    """

    def __init__(
        self,
        session: Session,
        findings: Findings,
        watched: Watched,
        states: States,
        *,
        window_ms: int,
        kept: Kept | None,
    ) -> None:
        self._session, self._findings = session, findings
        self._watched, self._states = watched, states
        self._kept = kept
        self._counts: Counter[str] = Counter(dict.fromkeys(RULES, 0))
        self._last_s: dict[str, float] = {}
        self._changed: dict[str, str] = {}
        self._looked_ns = 0
        self._is_traced = False
        self._continued = Continued()
        self._clocks = ClockWatch(
            read_clocks(), window_ns=window_ms * 10**6, utc_offset_ns=session.clock.utc_offset_ns
        )
        self._gap: Gap | None = None
        self._is_over = False
        session.pulse.prepare()

    # --- from one run to the next --------------------------------------------------------------

    def begin(self) -> None:
        """Tell of the time before now in which nobody watched; from now on somebody does."""
        session, kept = self._session, self._kept
        self._clocks.restart(read_clocks(self._continued.count))
        if kept is None:
            return
        now_ns = session.clock.boot_ns()
        gap = self._gap = kept.gap(
            boot_id=session.facts.boot_id, boot_ns=now_ns, utc_ns=session.clock.utc_ns(now_ns)
        )
        self._beat("watching")
        if gap is None:
            return
        words = (
            f"not watched from {utc_words(gap.from_ns)} to {utc_words(gap.to_ns)}, "
            f"{gap.seconds:.1f} s: {_CAUSES[gap.cause]}"
        )
        kept.say(words)
        rule = "sensor-killed" if gap.cause == "killed" else "sensor-gap"
        severity: Severity | None = "low" if gap.cause in ("host rebooted", "failed") else None
        self._tell(
            Trouble(rule, words, gap.from_ns, gap.to_ns, identity=gap.cause, severity=severity),
            run=gap.run if gap.cause == "killed" else None,
        )

    def end(self) -> None:
        """Say that the watch ends as it was asked to."""
        self._beat("ended")

    def close(self) -> None:
        """Say that it failed, unless it ended before."""
        if not self._is_over:
            self._beat("failed")
        self._continued.close()

    def _beat(self, state: str) -> None:
        if self._kept is None:
            return
        self._is_over = state != "watching"
        clock = self._session.clock
        now_ns = clock.boot_ns()
        self._kept.beat(
            Heartbeat(
                schema="ethogram.watch-heartbeat/1",
                state=state,  # type: ignore[arg-type]
                run=self._kept.run,
                pid=os.getpid(),
                boot_id=self._session.facts.boot_id,
                boot_ns=now_ns,
                utc_ns=clock.utc_ns(now_ns),
            )
        )

    # --- while it watches ----------------------------------------------------------------------

    def take(self, live: Live) -> None:
        """Take the window of *live*, which was judged."""
        began_ns, ended_ns = _span(live.window("windows"))
        for trouble in floods(live.window("losses"), began_ns, ended_ns):
            self._tell(trouble)

    def check(self) -> None:
        """Look at everything else, after a window; and say that the watch lives."""
        now_ns = self._session.clock.boot_ns()
        for trouble in self._clocks.take(read_clocks(self._continued.count)):
            self._tell(trouble)
        if now_ns - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now_ns
            for trouble in self._looked(self._session.clock.utc_ns(now_ns)):
                self._tell(trouble)
        pulse = self._session.pulse
        if pulse.is_silent(now_ns):
            at_ns = self._session.clock.utc_ns(now_ns)
            self._tell(Trouble("sensor-silent", "a cgroup that it made was not reported",
                               at_ns, at_ns))  # fmt: skip
        pulse.beat(now_ns)
        self._beat("watching")

    def _looked(self, at_ns: int) -> Iterator[Trouble]:
        for program, what in self._session.tampered():
            if self._changed.get(program) != what:
                self._changed[program] = what
                self._states.blinded = f"the program `{program}` does not run as it was: {what}"
                yield Trouble("sensor-detached", f"`{program}`: {what}", at_ns, at_ns,
                              identity=program)  # fmt: skip
        if not self._session.is_armed() and "armed" not in self._changed:
            self._changed["armed"] = "it was switched off"
            self._states.blinded = "the programs were switched off by another process"
            yield Trouble("sensor-silenced", "the switch `armed` was turned off", at_ns, at_ns)
        tracer = _tracer()
        if tracer and not self._is_traced:
            yield Trouble("sensor-traced", f"by {_named(tracer)}", at_ns, at_ns)
        self._is_traced = bool(tracer)
        if self._kept is not None and self._kept.is_touched():
            yield Trouble("sensor-state", "what was told was written by another", at_ns, at_ns)

    def _tell(self, trouble: Trouble, *, run: str | None = None) -> None:
        now_ns = self._session.clock.utc_ns(self._session.clock.boot_ns())
        self._counts[trouble.rule] += 1
        self._last_s[trouble.rule] = now_ns / 1e9
        whose, is_ours = self._whose(trouble, run)
        if not is_ours and trouble.instance is not None and not self._is_judged(trouble.instance):
            trouble = replace(trouble, severity="low")
        before = self._findings.total
        self._findings.take(sighting_of(trouble, is_ours=is_ours), whose, now_ns)
        if trouble.instance is not None and not is_ours:
            workload = self._watched.of_instance(trouble.instance)
            workload.findings += self._findings.total - before

    def _is_judged(self, instance: int) -> bool:
        """Say whether findings of *instance* are meant to be seen: a host's backup is no flood."""
        workload = self._watched.of_instance(instance)
        return workload.known is not None or workload.is_container

    def _whose(self, trouble: Trouble, run: str | None) -> tuple[Whose, bool]:
        """Return whom a finding is about: the workload whose doing it is, else the sensor."""
        if trouble.instance is not None:
            try:
                return self._watched.whose(trouble.instance), False
            except KeyError:
                pass  # its workload has no name yet, or is gone
        run = run or (self._kept.run if self._kept else str(os.getpid()))
        return sensor_whose(self._session.facts.host_id, run, RULES[trouble.rule].state), True

    # --- what to say of it ---------------------------------------------------------------------

    def status(self) -> SensorStatus:
        """Return how the sensor stands."""
        gap = self._gap
        heard_ns = self._session.pulse.heard_ns
        return SensorStatus(
            troubles={rule: number for rule, number in self._counts.items() if number},
            changed=dict(self._changed),
            gap_from=None if gap is None else utc_words(gap.from_ns),
            gap_to=None if gap is None else utc_words(gap.to_ns),
            gap_seconds=None if gap is None else round(gap.seconds, 3),
            gap_cause=None if gap is None else gap.cause,
            heard=None if heard_ns is None else utc_words(self._session.clock.utc_ns(heard_ns)),
        )

    def reading(self) -> SensorReading:
        """Return the same in numbers."""
        heard_ns, gap = self._session.pulse.heard_ns, self._gap
        return SensorReading(
            findings=dict(self._counts),
            last_s=dict(self._last_s),
            changed=len(self._changed),
            gap_s={} if gap is None else {gap.cause: gap.seconds},
            heard_s=None if heard_ns is None else self._session.clock.utc_ns(heard_ns) / 1e9,
        )


_CAUSES = {
    "killed": "the watch before was killed",
    "host rebooted": "the host was started anew, and the watch before had said nothing of an end",
    "failed": "the watch before failed",
    "clean end": "the watch before ended as it was asked to",
}


def _span(windows: pa.Table) -> tuple[int, int]:
    began, ended = (windows.column(name).cast(pa.int64())[0].as_py() for name in ("start", "end"))
    return began, ended


def _tracer() -> int:
    """Return the process that is attached to this one, 0 for none."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _named(pid: int) -> str:
    try:
        exe = str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        exe = "a program that cannot be read"
    return f"pid {pid}, {exe}"
