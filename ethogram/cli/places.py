"""What the words of a command line stand for: patterns and directories become what is in them."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ethogram.contracts.escape import escape
from ethogram.contracts.file_names import MANIFEST_NAME, SUMMARY_SUFFIX
from ethogram.contracts.remote import RecordingUrl, Remote
from ethogram.errors import RecordingError, UsageError

__all__ = ["expanded", "owned"]

_PATTERN = re.compile(r"[*?\[]")
_URL_PATTERN = re.compile(r"[*\[]")  # behind a `?` of a URL is no path


def expanded(places: Iterable[Path | RecordingUrl]) -> list[Path | RecordingUrl]:
    """Return *places* with patterns, and directories of recordings, replaced by what is there.

    Sorted where there are several, each place once. A pattern that nothing matches is a
    `UsageError`; what is named itself stays, for its reader to refuse.
    """
    found: dict[str, Path | RecordingUrl] = {}
    for place in places:
        several = _of_url(place) if isinstance(place, RecordingUrl) else _of_path(place)
        for one in several:
            found.setdefault(str(one), one)
    return list(found.values())


@contextmanager
def owned(path: Path) -> Iterator[None]:
    """Say whose *path* is where this process may not look into it."""
    try:
        yield
    except PermissionError as error:
        raise RecordingError(
            f"`{escape(str(path))}` cannot be read: permission denied",
            hint="a recording is its owner's alone: run this as its owner, or `chown -R` it",
        ) from error


def _of_path(path: Path) -> Iterator[Path]:
    if _PATTERN.search(str(path)) and not path.exists():
        matches = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  it keeps what is before the pattern as it was written
        if not matches:
            raise _no_match(escape(str(path)))
        for match in matches:
            yield from _of_directory(match)
        return
    yield from _of_directory(path)


def _of_directory(path: Path) -> Iterator[Path]:
    """Yield the recordings and summaries right below *path*, or itself where it is none of such."""
    with owned(path):
        below = sorted(path.iterdir()) if path.is_dir() and not _is_recording(path) else []
    below = [one for one in below if one.name.endswith(SUMMARY_SUFFIX) or _is_recording(one)]
    yield from below or [path]


def _is_recording(path: Path) -> bool:
    with owned(path):
        return (path / MANIFEST_NAME).exists()


def _of_url(url: RecordingUrl) -> Iterator[RecordingUrl]:
    """Yield what *url* names in its store: one place, what a pattern matches, what is below it."""
    if _URL_PATTERN.search(str(url)):
        matches = Remote(url).matching()
        if not matches:
            raise _no_match(str(url))
        yield from matches
    elif not str(url).endswith(SUMMARY_SUFFIX) and not Remote(url).exists(MANIFEST_NAME):
        yield from Remote(url).recordings_below() or [url]
    else:
        yield url


def _no_match(pattern: str) -> UsageError:
    return UsageError(
        f"nothing matches `{pattern}`", hint="`*` stands for any part of one name, `**` for more"
    )
