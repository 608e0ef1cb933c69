"""From the kernel's clock to UTC."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["BootClock"]


@dataclass(frozen=True, slots=True)
class BootClock:
    """CLOCK_BOOTTIME, which never steps back, and what to add to it for UTC.

    The offset is taken once, so that a step of the wall clock does not tear a recording.
    """

    utc_offset_ns: int

    @classmethod
    def now(cls) -> BootClock:
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        utc = time.time_ns()
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return cls(utc - (before + after) // 2)

    def boot_ns(self) -> int:
        """Return the time since boot, in nanoseconds."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def utc_ns(self, boot_ns: int) -> int:
        """Return nanoseconds UTC of a time since boot."""
        return boot_ns + self.utc_offset_ns

    def datetime(self, boot_ns: int) -> datetime:
        """Return the UTC date and time of a time since boot."""
        return datetime.fromtimestamp(self.utc_ns(boot_ns) / 1e9, UTC)
