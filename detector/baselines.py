"""The baselines of any number of places, read whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from detector.library import Known, Library
from ethogram.contracts.baseline_places import (
    BaselineFile,
    BaselinePlace,
    Stamps,
    has_baselines,
    is_directory,
    parsed,
    read_place,
    stamps_of,
)
from ethogram.contracts.environment import Environment, apply_environment
from ethogram.errors import BaselineError

__all__ = ["Baselines", "Verify"]

# Raises `BaselineError` where what was read must not be used; what it returns is called once all
# of it is.
Verify: TypeAlias = Callable[[BaselinePlace], Callable[[], None]]
_TRIES = 5


class Baselines:
    """The baselines in *places*: files, directories with those below them, URLs.

    A file whose bytes did not change stays the same `Known`, so that little is done anew when one
    of many changes. *environment* is the map that all are carried by. *may_lack*: a directory may
    be empty until there is a baseline.
    """

    def __init__(
        self,
        places: Sequence[BaselineFile],
        *,
        environment: Environment | None = None,
        verify: Verify | None = None,
        may_lack: bool = False,
    ) -> None:
        self.places = tuple(dict.fromkeys(places))
        self.environment = environment
        self._verify = verify
        self._may_lack = may_lack
        self._known: dict[tuple[str, bytes], Known] = {}
        self.stamps: dict[BaselineFile, Stamps] = {}

    def load(self) -> Library:
        """Return what stands there now; `BaselineError` for anything that is wrong with any of it.

        What changes while it is read is read again.
        """
        for _ in range(_TRIES):
            before = self.stamps_now()
            found = [self._read(place) for place in self.places if not self._is_empty(place)]
            if self.stamps_now() == before:
                break
        else:
            raise BaselineError("the baselines change faster than they can be read")
        self.stamps = before
        commits = [self._verify(one) for one in found] if self._verify else []
        known: dict[tuple[str, bytes], Known] = {}
        by_file: dict[str, Known] = {}
        for one in found:
            for name, content in one.files.items():
                key = (str(one.file(name)), sha256(content).digest())
                known[key] = self._known.get(key) or self._made(one, name)
                by_file.setdefault(key[0], known[key])
        library = Library(by_file.values())
        self._known = known
        for commit in commits:
            commit()
        return library

    def forget(self) -> None:
        """Make every baseline anew when they are loaded next."""
        self._known = {}

    def stamps_now(self) -> dict[BaselineFile, Stamps]:
        """Return what changes when a place does; `EthogramError` where a store fails."""
        return {place: stamps_of(place) for place in self.places if not _is_pipe(place)}

    def _read(self, place: BaselineFile) -> BaselinePlace:
        if isinstance(place, Path) and (place / "manifest.json").exists():
            raise BaselineError(
                f"`{place}` is a recording, not baselines",
                hint=f"`ethogram learn {place} -o baselines` makes them of it",
            )
        return read_place(place, below=is_directory(place))

    def _is_empty(self, place: BaselineFile) -> bool:
        """Return whether *place* is a directory of this host without a baseline, as it may be.

        Once there was a baseline anywhere it may not: what is missing then went by accident.
        """
        if not self._may_lack or self._known or not isinstance(place, Path):
            return False
        is_recording = (place / "manifest.json").exists()
        return place.is_dir() and not is_recording and not has_baselines(place)

    def _made(self, one: BaselinePlace, name: str) -> Known:
        baseline = parsed(one, name)
        if self.environment is not None:
            baseline = apply_environment(baseline, self.environment)
        return Known.of(one.file(name), baseline)


def _is_pipe(place: BaselineFile) -> bool:
    """Return whether *place* is `<(COMMAND)` or the like, which can be read once."""
    return isinstance(place, Path) and place.exists() and not (place.is_file() or place.is_dir())
