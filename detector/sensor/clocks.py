"""Clocks that disagree: the wall clock was stepped, or the watch did not run.

CLOCK_BOOTTIME goes on whatever happens. CLOCK_MONOTONIC stands still while the host sleeps, and is
slewed as CLOCK_BOOTTIME is; CLOCK_REALTIME is stepped by whoever may set the time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from detector.sensor.troubles import Trouble

__all__ = ["ClockWatch", "Continued", "Reading", "read_clocks"]

# Steps smaller than this are told once they add up to it: the wall clock is slewed as the others
# are, so that only steps move it against them.
_STEP_NS = 10**9
_TRIES = 3
# Clocks that are read one after another may be so far apart.
_APART_NS = 50 * 10**6
# What a loaded host may keep the watch from running, beyond the window that is due and one more.
_LATE_NS = 5 * 10**9
# The same where a signal let it go on: it was stopped by one.
_STOPPED_NS = 10**9


@dataclass(frozen=True, slots=True)
class Reading:
    """The clocks at one moment, and how often a signal had let the process go on by then."""

    boot_ns: int
    monotonic_ns: int
    real_ns: int
    continued: int = 0


def read_clocks(continued: int = 0) -> Reading:
    """Return the clocks as they are, read as close to one another as this host lets it."""
    closest = min((_read() for _ in range(_TRIES)), key=lambda one: one[0])
    return Reading(*closest[1:], continued)


def _read() -> tuple[int, int, int, int]:
    """Return how long it took to read them, and the clocks."""
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    monotonic_ns, real_ns = time.monotonic_ns(), time.time_ns()
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - boot_ns, boot_ns, monotonic_ns, real_ns


class Continued:
    """Counts SIGCONT: a process that was stopped by a signal goes on by that one."""

    def __init__(self) -> None:
        self.count = 0
        self._before: object = None
        with suppress(ValueError):  # another thread than the main one may not ask for signals
            self._before = signal.signal(signal.SIGCONT, self._take)

    def _take(self, _number: int, _frame: object) -> None:
        self.count += 1

    def close(self) -> None:
        """Count no more."""
        if self._before is not None:
            signal.signal(signal.SIGCONT, self._before)  # type: ignore[arg-type]
            self._before = None


class ClockWatch:
    """Compares each reading with the one before; windows are *window_ns* long.

    Of the wall clock, with the one at which a step was told last.

    *utc_offset_ns* is what the watch adds to the time since boot for the times of its findings.
    """

    def __init__(self, first: Reading, *, window_ns: int, utc_offset_ns: int) -> None:
        self._before = self._settled = first
        self._usual_ns = first.real_ns - first.boot_ns
        self._window_ns = window_ns
        self._offset_ns = utc_offset_ns
        self.steps = 0
        self.stalled_ns = 0

    def restart(self, now: Reading) -> None:
        """Compare with *now* from here on: whatever came before was no window."""
        self._before = now

    def take(self, now: Reading) -> Iterator[Trouble]:
        """Yield what *now* says was done since the reading before, which ended a window as well."""
        before, self._before = self._before, now
        yield from self._stepped(now)
        yield from self._stalled(before, now)

    def _stepped(self, now: Reading) -> Iterator[Trouble]:
        before, offset_ns = self._settled, now.real_ns - now.boot_ns
        step_ns = offset_ns - self._usual_ns
        if abs(step_ns) <= _STEP_NS:
            if abs(step_ns) <= _APART_NS:
                self._settled = now
            return
        self._settled, self._usual_ns = now, offset_ns
        self.steps += 1
        away_ns = offset_ns - self._offset_ns
        where = "forward" if step_ns > 0 else "back"
        yield Trouble(
            "sensor-clock",
            f"{abs(step_ns) / 1e9:.1f} s {where}; it is {away_ns / 1e9:+.1f} s from that of the "
            "findings now",
            before.boot_ns + self._offset_ns,
            now.boot_ns + self._offset_ns,
            identity=where,
        )

    def _stalled(self, before: Reading, now: Reading) -> Iterator[Trouble]:
        passed_ns = now.boot_ns - before.boot_ns
        slept_ns = passed_ns - (now.monotonic_ns - before.monotonic_ns)
        was_stopped = now.continued > before.continued
        spare_ns = _STOPPED_NS if was_stopped else self._window_ns + _LATE_NS
        if passed_ns <= self._window_ns + spare_ns:
            return
        first_ns, last_ns = before.boot_ns + self._offset_ns, now.boot_ns + self._offset_ns
        seconds = f"{passed_ns / 1e9:.1f} s"
        if passed_ns - slept_ns <= self._window_ns + spare_ns:
            yield Trouble("sensor-gap", f"the host slept for {slept_ns / 1e9:.1f} s",
                          first_ns, last_ns, identity="slept")  # fmt: skip
            return
        self.stalled_ns += passed_ns
        if was_stopped:
            yield Trouble("sensor-stalled", f"stopped by a signal, for up to {seconds}",
                          first_ns, last_ns, identity="signal")  # fmt: skip
        else:
            yield Trouble("sensor-stalled", f"no window ended for {seconds}",
                          first_ns, last_ns, identity="late", severity="medium")  # fmt: skip
