"""Time that is stepped while it is recorded: windows and rows go on as if it were not."""

from __future__ import annotations

import time

import pytest

from profiler.clock import BootClock

pytestmark = pytest.mark.unit

HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS, -30 * 365 * 24 * HOUR_NS])
def test_a_step_of_the_wall_clock_moves_nothing(
    step_ns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = BootClock.now()
    before = clock.boot_ns()
    utc = clock.utc_ns(before)
    wall, wall_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + step_ns)
    monkeypatch.setattr(time, "time", lambda: wall() + step_ns / 1e9)
    after = clock.boot_ns()
    assert after >= before
    assert clock.utc_ns(before) == utc
    assert clock.utc_ns(after) - utc == after - before
    # What a recorder that begins after the step would say: the new time.
    assert abs(BootClock.now().utc_offset_ns - clock.utc_offset_ns - step_ns) < HOUR_NS // 60
