"""What a segment holds: the windows between two rotations, counted while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from ethogram.contracts.journal_format import part_of
from ethogram.contracts.manifest import Dropped
from ethogram.contracts.tables import TABLES
from profiler.rotation import Segment

__all__ = ["Tally", "and_dropped", "has_windows", "part_number"]


class Tally:
    """What the open segment holds so far."""

    def __init__(self) -> None:
        self.windows = self.losses = 0
        self.first: int | None = None
        self.last = self.start_ns = self.end_ns = 0

    def take(self, windows: pa.RecordBatch) -> None:
        """Count rows of table `windows`."""
        numbers = windows.column("window").to_numpy()
        if self.first is None:
            self.first = int(numbers.min())
            self.start_ns = int(windows.column("start").view(pa.int64()).to_numpy().min())
        self.last = int(numbers.max())
        self.end_ns = int(windows.column("end").view(pa.int64()).to_numpy().max())
        self.windows += windows.num_rows

    def span(self) -> tuple[int, int] | None:
        """Return the first and the last window."""
        return None if self.first is None else (self.first, self.last)

    def segment(self, number: int, size_bytes: int) -> Segment:
        """Return what it is once it is Parquet."""
        assert self.first is not None
        return Segment(
            number, self.first, self.last, self.start_ns, self.end_ns, self.windows, self.losses,
            size_bytes,
        )  # fmt: skip


def has_windows(table: str) -> bool:
    """Say whether rows of *table* belong to a window, and go with it."""
    return any(column.name == "window" for column in TABLES[table].columns)


def part_number(path: str) -> int:
    """Return the number of the segment that file *path* belongs to."""
    part = part_of(path)
    return -1 if part is None else part[1]


def and_dropped(before: Dropped | None, old: Sequence[Segment]) -> Dropped:
    """Return what is dropped once *old* is, too."""
    return Dropped(
        windows=(before.windows if before else 0) + sum(segment.windows for segment in old),
        losses=(before.losses if before else 0) + sum(segment.losses for segment in old),
        since=before.since if before else _time(old[0].start_ns),
        until=_time(old[-1].end_ns),
    )


def _time(utc_ns: int) -> datetime:
    return datetime.fromtimestamp(utc_ns / 1e9, UTC)
