"""Whether a workload changed its root file system, or only what is mounted into it.

The root of a container is an overlay, and the recorder says of every open file whether it lies in
one. A change by name alone (a rename, a removal, a bound socket) is where its directory is: that
is known where a file in it was opened, or the directory itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ethogram.contracts.baseline import Observation
from learner.dimensions import parse_key

__all__ = ["writes_root"]

_CHANGES = frozenset("wctandlp")
_OPENED_FOR_CHANGES = frozenset("wca")
# The runtime mounts each of them alone: they say nothing of the directory that they are in.
_MOUNTED_ALONE = frozenset(
    {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"}
)


@dataclass(frozen=True, slots=True)
class _File:
    """A row about a file: *is_root* is None where it lies in no overlay, or nobody knows."""

    instance: str
    path: str
    letters: frozenset[str]
    is_root: bool | None

    @property
    def is_by_name(self) -> bool:
        return bool(self.letters) and not self.letters & {"r", "x", *_OPENED_FOR_CHANGES}


def writes_root(seen: pd.DataFrame, observation: Observation) -> bool | None:
    """Return whether the rows *seen* of a workload tell a change in its root; None is not known."""
    own = seen[seen.phase != "runtime"]
    files = list(_files(own[own.dimension == "files"]))
    changes = [file for file in files if file.letters & _CHANGES]
    if any(file.is_root for file in changes):
        return True
    overlays = {file.instance for file in files if file.is_root}
    places = _Places(files, overlays)
    names = [file.path for file in changes if file.is_by_name]
    where = {places.is_root(path) for path in (*names, *_sockets(own[own.dimension == "listens"]))}
    if True in where:
        return True
    is_told = (
        None not in where
        and observation.file_changes
        and "startup" in observation.phases
        and "files" not in (observation.not_observed or ())
        and all(file.instance in overlays for file in changes)
    )
    return False if is_told else None


def _files(rows: pd.DataFrame) -> Iterator[_File]:
    told = rows.in_image if "in_image" in rows else [None] * len(rows)
    for instance, key, image in zip(rows.instance_key, rows.key, told, strict=True):
        path, letters = parse_key(key, 2)
        # True is the image's file, False the container's own: both lie in the overlay.
        yield _File(instance, path, frozenset(letters), None if pd.isna(image) else True)


def _sockets(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the paths that UNIX sockets were bound to; abstract names are no files."""
    for key in rows.key:
        word, address, _ = parse_key(key, 3)
        if word == "unix" and address and not address.startswith(r"\x00"):
            yield address


class _Places:
    """Which directories lie in the root, as far as opened files tell.

    Of an instance that is not in *overlays* nothing is known.
    """

    def __init__(self, files: list[_File], overlays: set[str]) -> None:
        self._known: defaultdict[str, set[bool]] = defaultdict(set)
        for file in files:
            if file.is_by_name or file.instance not in overlays or file.path in _MOUNTED_ALONE:
                continue
            is_root = file.is_root is True
            self._known[file.path].add(is_root)
            # One file may be mounted alone; what was made in a directory is where that is.
            if is_root or "c" in file.letters:
                self._known[_parent(file.path)].add(is_root)

    def is_root(self, path: Any) -> bool | None:
        """Return whether the entry *path* is made in the root, None where nothing is known."""
        if not isinstance(path, str) or not path.startswith("/"):
            return None
        directory = _parent(path)
        while not (known := self._known.get(directory)):
            if directory == "/":
                return None
            directory = _parent(directory)
        return True in known


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
