"""What probes are told: is it alive, and is it of use. Pure: the clock comes in as a number."""

from __future__ import annotations

from collections.abc import Iterator

from profiler.telemetry.reading import Reading

__all__ = ["not_alive", "not_ready", "patience_s"]

# A window that is judged under load may take several times its length.
_LEAST_S, _WINDOWS = 30.0, 10


def patience_s(window_s: float) -> float:
    """Return how long no window may end before something is wrong."""
    return max(_LEAST_S, _WINDOWS * window_s)


def not_alive(reading: Reading, now_s: float) -> str | None:
    """Return why this session is stuck at *now_s*, by the monotonic clock; None where it is not."""
    age_s = now_s - reading.tick_s
    if age_s <= patience_s(reading.window_s):
        return None
    return f"no window ended for {age_s:.0f} s; one takes {reading.window_s:g} s"


def not_ready(reading: Reading, now_s: float) -> Iterator[str]:
    """Yield what is missing until this session sees and judges what it should."""
    if (problem := not_alive(reading, now_s)) is not None:
        yield problem
    for name in reading.refused:
        yield f"the kernel refused the program `{name}`"
    watch = reading.watch
    if watch is not None and not watch.baselines and not watch.may_lack_baselines:
        yield "no baseline is loaded"
    if not reading.windows:
        yield "no window has ended yet"
