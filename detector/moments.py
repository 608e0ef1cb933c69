"""Times as findings and events have them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["moment", "moment_ns"]


def moment(utc_ns: int) -> str:
    """Return nanoseconds UTC as ISO text, to the microsecond."""
    seconds, nanoseconds = divmod(utc_ns, 10**9)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def moment_ns(time: str) -> int:
    """Return nanoseconds UTC of a time as findings have it."""
    read = datetime.fromisoformat(time)
    return int(read.timestamp()) * 10**9 + read.microsecond * 1000
