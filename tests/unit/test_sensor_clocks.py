"""Clocks that disagree: what is told of a step, a stop, a sleep, and of a slow host."""

from __future__ import annotations

import os
import signal

import pytest

from detector.sensor.clocks import ClockWatch, Continued, Reading, read_clocks
from detector.sensor.troubles import Trouble

pytestmark = pytest.mark.unit

S = 10**9
OFFSET = 1_700_000_000 * S
FIRST = Reading(100 * S, 90 * S, OFFSET + 100 * S)


def told(*readings: Reading) -> list[Trouble]:
    """Return what a watch with windows of a second tells of *readings* after the first."""
    watch = ClockWatch(FIRST, window_ns=S, utc_offset_ns=OFFSET)
    return [trouble for reading in readings for trouble in watch.take(reading)]


def after(seconds: float, *, slept: float = 0, stepped: float = 0, continued: int = 0) -> Reading:
    passed = int(seconds * S)
    return Reading(
        FIRST.boot_ns + passed,
        FIRST.monotonic_ns + passed - int(slept * S),
        FIRST.real_ns + passed + int(stepped * S),
        continued,
    )


def test_windows_that_end_in_time_say_nothing() -> None:
    assert told(*(after(second) for second in range(1, 100))) == []


def test_a_busy_host_and_a_clock_that_moves_less_than_a_second_say_nothing() -> None:
    assert told(after(6.9, stepped=0.9), after(8, stepped=-0.9), after(9, stepped=0.5)) == []


def test_small_steps_are_told_once_they_add_up() -> None:
    (one, two) = told(*(after(window, stepped=0.3 * window) for window in range(1, 9)))
    assert one.observed.startswith("1.2 s forward; it is +1.2 s from")
    assert two.observed.startswith("1.2 s forward; it is +2.4 s from")
    assert (one.first_ns, one.last_ns) == (OFFSET + 100 * S, OFFSET + 104 * S)


@pytest.mark.parametrize(("step", "where"), [(3600, "forward"), (-3600, "back")])
def test_a_step_is_told_once_and_times_go_on_as_they_were(step: int, where: str) -> None:
    (found,) = told(after(1), after(2, stepped=step), after(3, stepped=step))
    assert (found.rule, found.identity) == ("sensor-clock", where)
    assert found.observed.startswith(f"3600.0 s {where}; it is {step:+.1f} s from")
    assert (found.first_ns, found.last_ns) == (OFFSET + 101 * S, OFFSET + 102 * S)


def test_a_step_and_the_step_back_are_two() -> None:
    found = told(after(1, stepped=60), after(2))
    assert [one.identity for one in found] == ["forward", "back"]
    assert found[1].observed.endswith("it is +0.0 s from that of the findings now")


def test_a_process_that_was_stopped_by_a_signal_says_so() -> None:
    (found,) = told(after(2.1, continued=1))
    assert (found.rule, found.identity, found.severity) == ("sensor-stalled", "signal", None)
    assert told(after(2.1)) == []
    assert told(after(1, continued=1)) == [], "a signal to go on stops nobody"


def test_a_window_that_takes_far_too_long_is_told_as_less() -> None:
    (found,) = told(after(7.1))
    assert (found.rule, found.identity, found.severity) == ("sensor-stalled", "late", "medium")


def test_a_host_that_slept_is_no_attack() -> None:
    (found,) = told(after(3600, slept=3599))
    assert (found.rule, found.identity) == ("sensor-gap", "slept")
    assert found.observed == "the host slept for 3599.0 s"


def test_the_clocks_are_read_and_signals_counted() -> None:
    continued = Continued()
    try:
        before = read_clocks(continued.count)
        os.kill(os.getpid(), signal.SIGCONT)
        now = read_clocks(continued.count)
    finally:
        continued.close()
    assert (before.continued, now.continued) == (0, 1)
    assert now.boot_ns >= before.boot_ns > 0
    assert signal.getsignal(signal.SIGCONT) is signal.SIG_DFL
