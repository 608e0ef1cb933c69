"""A recording that is kept beside a watch: a thread writes it, and the sensor never waits for it.

What the thread has no time for is counted as lost, in the recording too: the window is there,
incomplete. While the disk has no room nothing is written, and what that was is counted in the first
window after it. A disk that fails ends the recording, not the watch.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ethogram.contracts.columns import Values
from ethogram.errors import CaptureError, EthogramError
from profiler.journal import Journal
from profiler.options import Keeping, KeepingState, SessionOptions, Storage
from profiler.output import Output
from profiler.runs import drop_earlier
from profiler.segments import has_windows
from profiler.sink import Sink
from profiler.spool import Bounded

if TYPE_CHECKING:
    from ethogram.contracts.manifest import Manifest, Stopped
    from profiler.session import Session

__all__ = ["BesideWatch", "Keeper", "has_no_room"]

_Window: TypeAlias = "list[tuple[str, Mapping[str, Values]]]"

# So long apart are windows made durable; a kill loses what came since.
_EVERY_S = 5.0
# That wait for the thread: some 20 MB.
_MOST_ROWS = 200_000
_NICENESS = 5
_PATIENCE_S = 60.0
# That wait for room on the disk, of what says who somebody is: beyond them there is no use in it.
_MOST_HELD = 100_000
# Left free beside what compaction needs, which is as much again as the journal has.
_SPARE_BYTES = 8 << 20


class Keeper:
    """A sink whose windows a thread hands to *sink*, in front of *journal*.

    The thread begins with the first window, when privileges are given up. *is_full* says that the
    disk has no room.
    """

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        *,
        place: str,
        is_full: Callable[[], bool],
        most_rows: int = _MOST_ROWS,
        most_held: int = _MOST_HELD,
        every_s: float = _EVERY_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._place = place
        self._most_rows, self._every_s, self._now = most_rows, every_s, now
        self._back = _Pausing(sink, is_full, most_held)
        self._front = Bounded(_Handing(self._hand_over), self._is_behind, "queue")
        self._windows: deque[_Window] = deque()
        self._waiting = 0  # rows; the lock is held to change it
        self._unsure = 0  # rows that were handed on and are not durable
        self._lost = 0  # rows, since it failed
        self._is_ending = False
        self._has_ended = False
        self._flushed_s = now()
        self._trouble: str | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    # --- what the sensor calls ----------------------------------------------------------------

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window; they must not change any more."""
        self._front.append(table, columns)

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        """Do nothing: rows are written when the window ends."""

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window: the thread gets it."""
        self._front.flush(between=between)
        if self._thread.ident is None:
            self._thread.start()

    @property
    def lost(self) -> int:
        """How many rows are not in the recording, for want of time or room."""
        return self._front.lost + self._back.lost + self._lost

    def standing(self) -> Keeping:
        """Return how the recording stands."""
        return Keeping(
            place=self._place,
            recording_id=self._journal.manifest.recording_id,
            state=self._state(),
            windows=self._journal.manifest.windows,
            lost=self.lost,
            waiting=self._waiting,
            trouble=self._trouble,
        )

    def _state(self) -> KeepingState:
        if self._trouble is not None:
            return "failed"
        if self._has_ended:
            return "ended"
        return "full" if self._back.is_full or self._front.is_full else "recording"

    def finish(self, end: Callable[[], object]) -> None:
        """Wait for the thread, then have *end* end the recording; what is wrong is in `standing`.

        A disk that answers nothing is given up. Only the first call does anything.
        """
        if self._is_ending:
            return
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            self._fail(f"`{self._place}` took nothing for {_PATIENCE_S:.0f} s")
            return
        try:
            end()
            self._has_ended = True
        except EthogramError as error:
            self._trouble = self._trouble or error.message

    def _is_behind(self) -> bool:
        return self._waiting > self._most_rows

    def _hand_over(self, window: _Window) -> None:
        rows = _rows(window)
        with self._changed:
            if self._trouble is not None:
                self._lost += rows
                return
            self._windows.append(window)
            self._waiting += rows
            self._changed.notify()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            while (window := self._next()) is not None:
                self._write(window)
            self._back.end()
        except EthogramError as error:
            self._fail(error.message)
        except Exception as error:  # whatever it is, the watch is to hear of it
            self._fail(f"{type(error).__name__}: {error}")

    def _next(self) -> _Window | None:
        """Return the next window, None where there is none any more."""
        with self._changed:
            while not self._windows and not self._is_ending:
                self._changed.wait()
            return self._windows.popleft() if self._windows else None

    def _write(self, window: _Window) -> None:
        rows = _rows(window)
        self._unsure += rows
        if not self._back.take(window):
            self._unsure -= rows
        with self._changed:
            self._waiting -= rows
        now = self._now()
        if self._unsure and now - self._flushed_s >= self._every_s:
            self._back.flush()
            self._unsure = 0
            self._flushed_s = now

    def _fail(self, trouble: str) -> None:
        with self._changed:
            self._trouble = trouble
            self._lost += self._unsure + sum(map(_rows, self._windows))
            self._windows.clear()
            self._waiting = self._unsure = 0


class _Handing:
    """A sink that collects a window, and hands it over when it ends."""

    def __init__(self, hand_over: Callable[[_Window], None]) -> None:
        self._hand_over = hand_over
        self._window: _Window = []

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        self._window.append((table, columns))

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        pass

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        del between  # this takes no time
        window, self._window = self._window, []
        self._hand_over(window)


class _Pausing:
    """Writes windows to *sink*, none while *is_full*; what says who somebody is waits for room.

    `CaptureError` where so much of that waits that nothing else is left of the memory.
    """

    def __init__(self, sink: Sink, is_full: Callable[[], bool], most_held: int) -> None:
        self._most_held = most_held
        self.lost = 0
        self.is_full = False
        self._sink, self._asks = sink, is_full
        self._held: _Window = []
        self._held_rows = 0
        self._last: _Window = []  # row of table `windows`
        self._gap = 0

    def take(self, window: _Window) -> bool:
        """Write *window*, or count it; return whether it was written."""
        self.is_full = self._asks()
        if self.is_full:
            held = [(table, rows) for table, rows in window if not has_windows(table)]
            if self._held_rows + _rows(held) > self._most_held:
                self.lost += self._held_rows
                self._held.clear()
                raise CaptureError("the disk had no room for too long")
            self._held += held
            self._held_rows += _rows(held)
            self._last = [(table, rows) for table, rows in window if table == "windows"]
            gap = _rows([(table, rows) for table, rows in window if has_windows(table)])
            self._gap += gap
            self.lost += gap
            return False
        if self._gap:
            window = [*self._held, *_after_gap(window, self._gap)]
            self._held, self._held_rows, self._gap = [], 0, 0
        for table, columns in window:
            self._sink.append(table, columns)
        return True

    def flush(self) -> None:
        self._sink.flush()

    def end(self) -> None:
        """Write what is still to be said of a gap, in the space that was spared."""
        if self._gap:
            window = [*self._held, *_after_gap(self._last, self._gap)]
            for table, columns in window:
                self._sink.append(table, columns)
        self._sink.flush()


def _after_gap(window: _Window, lost: int) -> Iterator[tuple[str, Mapping[str, Values]]]:
    """Yield *window* as the one that says how many rows were *lost* before it."""
    for table, columns in window:
        if table == "coverage":
            states = ["incomplete"] * len(columns["window"])
            yield table, {**columns, "state": states}
            continue
        yield table, columns
        if table == "windows":
            yield "losses", {
                "window": columns["window"][-1:], "workload": [None], "instance": [None],
                "kind": ["disk"], "place": ["journal"], "count": [lost],
            }  # fmt: skip


def has_no_room(journal: Journal) -> bool:
    """Return whether the disk of *journal* has less room than it takes to compact it."""
    try:
        disk = os.statvfs(journal.path)
    except OSError:
        return False  # what is wrong with it, writing says
    return disk.f_bavail * disk.f_frsize < _SPARE_BYTES + journal.journal_bytes()


class BesideWatch:
    """The recording of a session that watches: `check`, `open`, `begin`, `end`, `close`."""

    def __init__(self, storage: Storage, options: SessionOptions) -> None:
        self._output = Output(storage, options)
        self._keeper: Keeper | None = None

    def check(self) -> None:
        """See `Output.check`; what earlier runs left and is not to be kept is deleted."""
        self._output.check()
        place, retain = self._output.storage.output, self._output.storage.rotation.retain
        if isinstance(place, Path) and retain is not None:
            drop_earlier(place.parent, retain, now_ns=time.time_ns())

    def open(self, first: Manifest, session: Session) -> Keeper:
        """Return what takes the rows of *session*, whose recording begins with *first*."""
        sink = self._output.open(first, session)
        journal = self._output.journal
        assert journal is not None
        self._keeper = Keeper(
            sink,
            journal,
            place=str(self._output.storage.output),
            is_full=partial(has_no_room, journal),
        )
        return self._keeper

    def begin(self, dropped: tuple[str, ...]) -> None:
        """See `Output.begin`."""
        self._output.begin(dropped)

    @property
    def recording_id(self) -> str:
        """What findings call the recording."""
        return self.standing().recording_id

    @property
    def is_kept(self) -> bool:
        """Whether what happens now will be in the recording."""
        return self.standing().state == "recording"

    def standing(self) -> Keeping:
        """Return how the recording stands."""
        assert self._keeper is not None
        return self._keeper.standing()

    def end(self, session: Session, stopped: Stopped) -> None:
        """End the recording; what is wrong with it `standing` says."""
        assert self._keeper is not None
        self._keeper.finish(partial(self._output.end, session, stopped))

    def close(self, *, has_begun: bool) -> None:
        """Leave the recording readable, with the windows that were taken."""
        if self._keeper and has_begun:
            self._keeper.finish(lambda: None)
        self._output.close(has_begun=has_begun)


def _rows(window: _Window) -> int:
    return sum(len(next(iter(columns.values()))) for _, columns in window)
