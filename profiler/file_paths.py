"""The paths of files: where a name leads, what of it is told beside the path, and what was cut."""

from __future__ import annotations

import posixpath
from typing import NamedTuple

import numpy as np

from ethogram.contracts.events import EventFlag
from profiler.ring import Records

__all__ = ["CUT", "FilePath", "PathRecords", "path_of", "shown"]

# Before a path that lost its beginning: it is no absolute path.
CUT = b"..."


class FilePath(NamedTuple):
    """A path, the string that was asked for where it names another place, and `EventFlag`s."""

    path: bytes
    asked: bytes | None
    flags: int


class PathRecords:
    """The path records of a window, by what their map keys share with them."""

    def __init__(self, batches: list[Records]) -> None:
        self._found: dict[tuple[int, ...], FilePath] = {}
        for batch in batches:
            heads = batch.heads
            places = heads[["window", "slot", "fingerprint", "dev", "ino"]].tolist()
            for place, head, tail in zip(places, heads, batch.tails, strict=True):
                size, flags = int(head["path_size"]), int(head["flags"])
                asked = tail[size : size + int(head["asked_size"])]
                self._found[place] = path_of(tail[:size], asked, flags)

    def of(self, keys: np.ndarray) -> list[FilePath | None]:
        places = keys[["window", "slot", "fingerprint", "dev", "ino"]].tolist()
        return [self._found.get(place) for place in places]


def path_of(path: bytes, asked: bytes, flags: int) -> FilePath:
    """Return what a record says: *path* was opened, or *asked* starts from it.

    A name that led to no open file is followed by its letters alone: symbolic links in it stay.
    """
    if flags & EventFlag.START:
        # A root clamps `..`, also one that chroot() set.
        below = posixpath.normpath(asked) if asked.startswith(b"/") else asked
        path = posixpath.normpath(b"/" + (path + b"/" + below).lstrip(b"/"))
    elif not path:
        return FilePath(asked, None, flags)
    return FilePath(shown(path, is_cut=bool(flags & EventFlag.PATH_TRUNCATED)),
                    _asked(path, asked), flags)  # fmt: skip


def shown(path: bytes, *, is_cut: bool) -> bytes:
    """Return *path*, marked where its beginning *is_cut*."""
    return CUT + path if is_cut and path.startswith(b"/") else path


def _asked(path: bytes, asked: bytes) -> bytes | None:
    """Return the asked string where it names another place than *path*."""
    if not asked or asked == path:
        return None
    if asked.startswith(b"/"):
        return None if posixpath.normpath(asked) == path else asked
    relative = posixpath.normpath(asked)
    is_below = not relative.startswith(b"..") and (
        relative == b"." or path.endswith(b"/" + relative)
    )
    return None if is_below else asked
