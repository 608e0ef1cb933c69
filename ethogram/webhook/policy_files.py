"""The configuration and the files that it names, taken anew when they change.

They are read whole or not at all: where anything is wrong with any of them, what was there stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from detector.baselines import Baselines
from ethogram.contracts.environment import load_environment
from ethogram.errors import EthogramError
from ethogram.webhook.config import Config, load_config
from ethogram.webhook.policy import Policy, policy_of

__all__ = ["Change", "PolicyFiles"]

# What a process has from its start: sockets, and who is told.
_OF_THE_START = ("tls", "listen", "metrics", "sinks", "spool", "cluster")


@dataclass(frozen=True, slots=True)
class Change:
    """A new *policy*, or the *trouble* for which the old one stays; *notes* are for people."""

    policy: Policy | None = None
    notes: tuple[str, ...] = ()
    trouble: str | None = None


class PolicyFiles:
    """The configuration in file *path*, the baselines that it names, and the map they go by.

    *today* is in UTC: what overlays of baselines allow may end with the day.
    """

    def __init__(self, path: Path, today: Callable[[], date]) -> None:
        self._path = path
        self._today = today
        self._map: Path | None = None
        self._baselines: Baselines | None = None
        self._first: Config | None = None
        self._seen: object = None

    def load(self) -> Change:
        """Return what is there now; `EthogramError` for whatever is wrong with it."""
        of_config = _stamp(self._path)
        self._seen = (of_config, None, None, None)
        config = load_config(self._path)
        # Stamps before contents: what is replaced in between is new at the next look.
        of_map = self._take_places(config)
        of_baselines, day = self._of_baselines(), self._today()
        self._seen = (of_config, of_map, of_baselines, day)
        library = None if self._baselines is None else self._baselines.load().on(day)
        known = [] if library is None else [one.baseline for one in library.known]
        policy, notes = policy_of(config, known)
        self._first = self._first or config
        kept = [name for name in _OF_THE_START
                if getattr(config, name) != getattr(self._first, name)]  # fmt: skip
        if kept:
            names = ", ".join(f"`{name}`" for name in kept)
            notes.append(f"{names} changed: that takes a restart")
        return Change(policy, tuple(notes))

    def look(self) -> Change | None:
        """Return what is new since the last time; None where nothing changed."""
        try:
            now = (_stamp(self._path), self._of_map(), self._of_baselines(), self._today())
            return None if now == self._seen else self.load()
        except EthogramError as error:
            return Change(trouble=error.message)
        except Exception as error:  # a mistake of ours is no reason to stop answering
            return Change(trouble=f"{type(error).__name__}: {error}")

    def _take_places(self, config: Config) -> object:
        """Take the places that *config* names; return the stamp that the map had as it was read."""
        learnt = config.learnt
        if learnt is None:
            self._map = self._baselines = None
            return None
        self._map = None if learnt.map is None else Path(learnt.map)
        of_map = self._of_map()
        environment = None if self._map is None else load_environment(self._map)
        places = tuple(dict.fromkeys(map(Path, learnt.baselines)))
        before = self._baselines
        # Files that stay as they are need not be read again.
        if before is None or (before.places, before.environment) != (places, environment):
            self._baselines = Baselines(places, environment=environment)
        return of_map

    def _of_map(self) -> object:
        return None if self._map is None else _stamp(self._map)

    def _of_baselines(self) -> object:
        return None if self._baselines is None else self._baselines.stamps_now()


def _stamp(path: Path) -> object:
    # Of what links lead to: a ConfigMap changes by a link that is replaced.
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_ino, found.st_size
