"""Finds exported policies, relaxes them in place, and puts them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.durable import replace_file
from ethogram.contracts.exports import INDEX_NAME, IndexEntry, read_index
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.relaxed import RelaxedFile, digest_of, read_relaxed, write_relaxed
from ethogram.errors import ExportError, UsageError

if TYPE_CHECKING:
    from exporters.review.protocol import Relaxed

__all__ = ["Done", "Place", "place_of", "relax", "restore"]

_LIMIT_BYTES = 16 << 20
_MODE = 0o644
# Below the directory of an export lie namespace, workload and file.
_LEVELS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """The policies that are meant: *directory* has the index and the state, *paths* are in it.

    *is_whole*: the directory was named, not a file of it.
    """

    directory: Path
    paths: tuple[str, ...]
    entries: Mapping[str, IndexEntry]
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one file: relaxed, restored, or *refused* with the reason."""

    path: str
    relaxed: Relaxed | None = None
    refused: ExportError | None = None
    was_so: bool = False


def place_of(path: Path) -> Place:
    """Return the policies of *path*, the directory of an export or one policy file."""
    if path.is_dir():
        entries = {entry.path: entry for entry in read_index(path)}
        if not entries:
            raise UsageError(
                f"`{path}` has no `{INDEX_NAME}`: it is not the directory of an export",
                hint="name the policy files themselves",
            )
        policies = [name for name, one in entries.items() if ".provenance" not in one.target]
        return Place(path, tuple(policies), entries, is_whole=True)
    for directory in list(path.absolute().parents)[:_LEVELS]:
        relative = path.absolute().relative_to(directory).as_posix()
        entries = {entry.path: entry for entry in read_index(directory)}
        if relative in entries:
            return Place(directory, (relative,), entries)
    return Place(path.parent, (path.name,), {})


def relax(place: Place, *, reason: str, now: str) -> list[Done]:
    """Relax the policies of *place*, all that can be; say of each what became of it."""
    state = read_relaxed(place.directory)
    done: list[Done] = []
    contents: dict[str, bytes] = {}
    for path in place.paths:
        known = state.get(path)
        try:
            content = _read(place.directory / path)
            was_so = known is not None and digest_of(content) == known.relaxed_sha256
            if known is not None and was_so:
                content = known.content.encode()
            found, text = _relaxed(content, path, place.entries.get(path), reason)
        except ExportError as error:
            done.append(Done(path, refused=error))
            continue
        done.append(Done(path, found, was_so=was_so))
        if not was_so:
            contents[path] = text
            state[path] = RelaxedFile(
                path=path,
                reason=reason,
                since=now,
                relaxed_sha256=digest_of(text),
                content=content.decode(),
            )
    if contents:
        write_relaxed(place.directory, state.values())
    for path, text in contents.items():
        _write(place.directory / path, text)
    return done


def restore(place: Place, *, force: bool) -> list[Done]:
    """Put back what was relaxed of *place*, with the very same bytes.

    Raises `UsageError`, and nothing is written, where somebody changed one of them since.
    """
    state = read_relaxed(place.directory)
    wanted = [path for path in state if place.is_whole or path in place.paths]
    if not wanted:
        raise UsageError(f"nothing in `{place.directory}` is relaxed")
    for path in wanted:
        known = state[path]
        if force or _is_as(place.directory / path, known):
            continue
        raise UsageError(
            f"`{place.directory / path}` was changed since it was relaxed",
            hint="pass `--force` to replace it by what it was before",
        )
    done = []
    for path in wanted:
        content = state[path].content.encode()
        _write(place.directory / path, content)
        done.append(Done(path, _route(content, path, place.entries.get(path))))
    write_relaxed(place.directory, (one for path, one in state.items() if path not in wanted))
    return done


def _relaxed(
    content: bytes, path: str, entry: IndexEntry | None, reason: str
) -> tuple[Relaxed, bytes]:
    from exporters.review.documents import dump, load
    from exporters.review.protocol import Relaxing
    from exporters.review.registry import reviewer_of

    documents = load(content, path)
    reviewer = reviewer_of(documents, target=entry.target if entry else None)
    if reviewer is None:
        raise ExportError("it is no policy of a kind that is known here")
    if not isinstance(reviewer, Relaxing):
        raise ExportError(f"a policy for `{reviewer.target}` cannot be relaxed")
    found = reviewer.relax(documents, reason=reason)
    return found, dump(found.documents, path)


def _route(content: bytes, path: str, entry: IndexEntry | None) -> Relaxed | None:
    """Return how a policy that stands again comes into force: by the way of its relaxed form."""
    try:
        return _relaxed(content, path, entry, "")[0]
    except (ExportError, ValueError):
        return None


def _is_as(path: Path, known: RelaxedFile) -> bool:
    try:
        now = digest_of(_read(path))
    except ExportError:
        return not path.exists()
    return now in (known.relaxed_sha256, digest_of(known.content.encode()))


def _read(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise ExportError(f"it cannot be read: {error.strerror}") from error
    if len(content) > _LIMIT_BYTES:
        raise ExportError(f"it is no policy: larger than {_LIMIT_BYTES >> 20} MiB")
    return content


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode=_MODE)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror}") from error
