"""Takes new baselines while a watch runs, in a thread of its own: the sensor never waits for them.

What changed is read whole, judged whole, and handed over between two windows; anything wrong with
any of it, and what was there stays. The thread begins after privileges were dropped.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from detector.baselines import Baselines
from detector.file_watch import FileWatch
from detector.library import Library
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.suppression_file import Suppression, load_suppressions
from ethogram.errors import EthogramError

__all__ = ["Reloader", "Update"]

# A checkout writes many files: they are read once nothing changed for so long, or after so long.
_QUIET_S, _LONGEST_S = 0.2, 5.0
_NICENESS = 10
_MOST_UPDATES = 10  # that wait to be told: one of them has the baselines, the others are troubles
_MOST_DIRECTORIES = 1000


@dataclass(frozen=True, slots=True)
class Update:
    """New baselines, or the *trouble* for which the old ones stay; neither: trouble is over.

    With *is_of_suppressions* the same of their file. *expired* are those whose last day is past.
    """

    library: Library | None = None
    trouble: str | None = None
    suppressions: tuple[Suppression, ...] | None = None
    is_of_suppressions: bool = False
    expired: tuple[Suppression, ...] = ()


class Reloader:
    """Looks after *baselines*, which were loaded; local ones at once, others every *poll_s*.

    Also after the file of *suppressions*, which was loaded as well: *known* is what it said. It is
    read once more at first, because it may have changed since.
    """

    def __init__(
        self,
        baselines: Baselines,
        *,
        poll_s: float,
        suppressions: Path | None = None,
        known: Sequence[Suppression] = (),
    ) -> None:
        self._suppressions = suppressions
        self._known = tuple(known)
        self._stamp: tuple[int, ...] | None = ()
        self._suppressions_trouble: str | None = None
        self._baselines = baselines
        self._poll_s = poll_s
        self._files = FileWatch()
        self._lock = threading.Lock()
        self._updates: list[Update] = []
        self._trouble: str | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="baselines", daemon=True)

    def start(self) -> None:
        """Begin; what changed since the baselines were loaded counts."""
        self._thread.start()

    def take(self) -> list[Update]:
        """Return what came about since this was asked last, the newest baselines last."""
        with self._lock:
            taken, self._updates = self._updates, []
        return taken

    def close(self) -> None:
        """End the thread; a store that does not answer is not waited for."""
        self._over.set()
        self._files.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._files.close()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        is_changed = False
        while not self._over.is_set():
            try:
                self._follow()
            except Exception as error:  # it is looked at by time then
                self._say(f"{type(error).__name__}: {error}")
            self.look()
            self.look_at_suppressions()
            is_changed = self._files.wait(self._poll_s)
            until = time.monotonic() + _LONGEST_S
            while is_changed and not self._over.is_set() and time.monotonic() < until:
                is_changed = self._files.wait(_QUIET_S)
                if is_changed:  # a directory in which something changes all the time
                    self._over.wait(_QUIET_S)

    def _follow(self) -> None:
        for place in self._baselines.places:
            self._files.follow(_directories(place))
        if self._suppressions:
            self._files.follow(_directories(self._suppressions))

    def look(self) -> None:
        """Load what is there where it is other than what was loaded, or could not be."""
        try:
            is_same = self._baselines.stamps_now() == self._baselines.stamps
            if is_same and self._trouble is None:
                return
            library = self._baselines.load()
        except EthogramError as error:
            self._say(error.message)
        except Exception as error:  # a backend raises what its own library raises
            self._say(f"{type(error).__name__}: {error}")
        else:
            self._trouble = None
            self._tell(Update(library=library))

    def look_at_suppressions(self) -> None:
        """Load the suppressions where they are others than those that were loaded."""
        if self._suppressions is None:
            return
        stamp = _stamp(self._suppressions)
        if stamp == self._stamp and self._suppressions_trouble is None:
            return
        try:
            found = load_suppressions(self._suppressions)
        except Exception as error:  # nothing that stands in a file ends the thread
            trouble = f"{type(error).__name__}: {error}"
            trouble = error.message if isinstance(error, EthogramError) else trouble
            if trouble != self._suppressions_trouble:
                self._suppressions_trouble = trouble
                self._tell(Update(trouble=trouble, is_of_suppressions=True))
            return
        is_same = self._suppressions_trouble is None and found == self._known
        self._stamp, self._known, self._suppressions_trouble = stamp, found, None
        if not is_same:
            self._tell(Update(suppressions=found, is_of_suppressions=True))

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._tell(Update(trouble=trouble))

    def _tell(self, update: Update) -> None:
        with self._lock:
            if update.library is not None:  # what nobody took yet is old already
                self._updates = [one for one in self._updates if one.library is None]
            self._updates = [*self._updates[-_MOST_UPDATES:], update]


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """Return what is another where *path* was replaced or written to."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found else None


def _directories(place: BaselineFile) -> Iterator[tuple[Path, frozenset[str] | None]]:
    """Yield the directories in which *place* may change; of others' only its own names count."""
    if not isinstance(place, Path):
        return
    place = place.absolute()
    names = {place.name, f"{place.name}.sig", "baselines.sig"}
    if not place.is_dir():
        yield place.parent, frozenset(names)
        if place.is_symlink():
            yield place.resolve().parent, None
        return
    yield place.parent, frozenset({place.name})
    for directory, below, _ in islice(os.walk(place), _MOST_DIRECTORIES):
        below[:] = [one for one in below if not one.startswith(".")]
        yield Path(directory), None
