"""When a journal becomes Parquet, and which of its oldest windows are let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Retention", "Rotation", "Segment", "overdue", "rarer"]

# The manifest lists every file, is written each window, and may have 16 MiB: some 70,000 files.
_FILES_A_STEP = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a recording is kept: *limit* nanoseconds of age, or bytes."""

    kind: Literal["age", "size"]
    limit: int
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """When the journal is rotated, whichever comes first, and what is kept after it."""

    size_bytes: int = 256 << 20
    every_s: float = 3600.0
    retain: Retention | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """The windows that one rotation made Parquet of.

    *end_ns* is the UTC end of its last window, *size_bytes* what dropping it frees.
    """

    number: int
    first: int
    last: int
    start_ns: int
    end_ns: int
    windows: int
    losses: int
    size_bytes: int


def rarer(files: int) -> int:
    """Return how many times longer a segment lasts once the recording has so many *files*."""
    return int(2 ** (files // _FILES_A_STEP))


def overdue(segments: Sequence[Segment], retain: Retention, *, now_ns: int, kept_bytes: int) -> int:
    """Return how many of the oldest *segments* are no longer to be kept.

    *kept_bytes* is what the recording has beside them, which is never dropped.
    """
    if retain.kind == "age":
        limit = now_ns - retain.limit
        return next((n for n, one in enumerate(segments) if one.end_ns >= limit), len(segments))
    excess = kept_bytes + sum(segment.size_bytes for segment in segments) - retain.limit
    for number, segment in enumerate(segments):
        if excess <= 0:
            return number
        excess -= segment.size_bytes
    return len(segments)
