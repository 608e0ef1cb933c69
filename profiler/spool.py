"""A recording on its way: what waits for a store or a disk, and no more than it may be."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.columns import Values
from ethogram.errors import CaptureError, UsageError
from profiler.segments import has_windows
from profiler.sink import Sink
from profiler.upload import Uploader

if TYPE_CHECKING:
    from profiler.journal import Journal

__all__ = ["SPOOL_ROOT", "Bounded", "BoundedSpool", "Outlet", "default_spool", "not_sent"]

SPOOL_ROOT = Path("/var/lib/ethogram/spool")
# What a window is known by, and what says that it is not whole; some hundred bytes.
_KEPT = frozenset({"windows", "coverage", "losses"})


@dataclass(frozen=True, slots=True)
class Outlet:
    """Where files of a journal go; *patience_s* is how long the end waits for a store."""

    uploader: Uploader
    patience_s: float = 30.0


class Bounded:
    """A sink in front of *sink*: while that *is_full*, rows are counted as lost in *place*.

    The windows stay, and say so: their coverage is incomplete, table `losses` tells how many rows
    they lack. Once there is room, rows are taken again, from the next window on.
    """

    def __init__(self, sink: Sink, is_full: Callable[[], bool], place: str) -> None:
        self.lost = 0
        self._sink = sink
        self._asks = is_full
        self._place = place
        self.is_full = False
        self._window_lost = 0
        self._window = 0

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window, or count them."""
        rows = len(next(iter(columns.values())))
        if table == "windows" and rows:
            self._window = int(columns["window"][-1])
        if self.is_full and has_windows(table):
            if table not in _KEPT:
                self._window_lost += rows
                return
            if table == "coverage":
                columns = {**columns, "state": ["incomplete"] * rows}
        self._sink.append(table, columns)

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window."""
        if self._window_lost:
            self._sink.append(
                "losses",
                {
                    "window": [self._window], "workload": [None], "instance": [None],
                    "kind": ["disk"], "place": [self._place], "count": [self._window_lost],
                },
            )  # fmt: skip
            self.lost += self._window_lost
            self._window_lost = 0
        self._sink.flush(between=between)
        self.is_full = self._asks()


class BoundedSpool(Bounded):
    """In front of a journal that is a spool: full while more than *limit_bytes* wait in it."""

    def __init__(self, journal: Journal, limit_bytes: int) -> None:
        super().__init__(journal, lambda: journal.spooled_bytes() > limit_bytes, "spool")

    def look(self, span: Mapping[str, Values], *, between: object = None) -> None:
        """Wait for the window's end."""


def default_spool(recording_id: str) -> Path:
    """Return where a recording waits if nobody says where, below a directory of root's alone."""
    try:
        SPOOL_ROOT.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"`{SPOOL_ROOT}` cannot be made: {os.strerror(error.errno or 0)}",
            hint="name a directory with `--spool`",
        ) from error
    return SPOOL_ROOT / recording_id


def not_sent(uploader: Uploader, spool: Path, files: int) -> CaptureError:
    """Return what to say where not all has arrived."""
    what = f"{files} {'file waits' if files == 1 else 'files wait'}" if files else "its end waits"
    return CaptureError(
        f"`{uploader.remote.url}` did not take all: {what} in `{spool}`"
        + (f"; {uploader.trouble}" if uploader.trouble else ""),
        hint=f"`ethogram send {shlex.quote(str(spool))}` uploads the rest",
    )
