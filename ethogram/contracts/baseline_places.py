"""Places that hold baselines: a file, a directory, a checkout, a URL. Read as bytes, at one time.

What is judged, signed or compared has to be what is used: so a place is read once, and everything
else works on what was read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ethogram.contracts.baseline_models import Baseline
from ethogram.contracts.baseline_yaml import SUFFIX, parse_bytes, read_bytes
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl, Remote
from ethogram.errors import BaselineError, EthogramError

__all__ = ["LIST_NAME", "LIST_SUFFIX", "BaselineFile", "BaselinePlace", "Stamps", "has_baselines",
           "is_directory", "named_model", "parsed", "read_place", "stamps_of"]  # fmt: skip

BaselineFile: TypeAlias = Path | RecordingUrl
Stamps: TypeAlias = Mapping[str, tuple[object, ...]]
# The signed list of a directory, and what a baseline that is named alone has beside it.
LIST_NAME = "baselines.sig"
LIST_SUFFIX = ".sig"
_MOST_FILES = 10_000
_DEEPEST = 8
_LIMIT_BYTES = 64 << 20
_LIST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class BaselinePlace:
    """What stood in *place*: baselines by their names there, and the signed list beside them."""

    place: Path | RecordingUrl
    is_directory: bool
    files: Mapping[str, bytes]
    signed_list: bytes | None
    list_name: str

    def file(self, name: str) -> BaselineFile:
        """Return what *name* is called from outside."""
        if isinstance(self.place, RecordingUrl):
            base = self.place.given.rstrip("/")
            base = base if self.is_directory else base.rpartition("/")[0]
            return RecordingUrl(f"{base}/{name}")
        return (self.place if self.is_directory else self.place.parent) / name


def is_directory(place: Path | RecordingUrl) -> bool:
    """Return whether *place* holds baselines, and is none itself."""
    if isinstance(place, RecordingUrl):
        return not str(place).endswith((".yaml", ".yml"))
    return place.is_dir()


def has_baselines(directory: Path) -> bool:
    """Return whether there is a baseline in *directory*, or below it."""
    return bool(_names(directory, below=True))


def read_place(place: Path | RecordingUrl, *, below: bool = False) -> BaselinePlace:
    """Return the baselines in *place*; with *below*, of a directory, those of directories in it.

    Hidden ones, such as `.git`, are passed over, and links to directories are not followed. Every
    failure is a `BaselineError` that names the file.
    """
    if isinstance(place, RecordingUrl):
        return _read_url(place)
    if not place.is_dir():
        return _read_file(place)
    names = sorted(_names(place, below=below))
    if not names:
        is_recording = (place / "manifest.json").exists()
        raise BaselineError(
            f"there is no `*{SUFFIX}` in `{place}`",
            # Not into the recording itself, whose directory is what was recorded and no more.
            hint=f"it is a recording: `ethogram learn {place} -o baselines` learns some of it"
            if is_recording
            else f"make one with `ethogram learn RECORDING -o {place}`",
        )
    for name in names:
        if (place / name).is_fifo():  # to open it would wait for whoever writes
            raise BaselineError(
                f"`{place / name}` is not a file", hint="remove it: it is no baseline"
            )
    files = {name: read_bytes(place / name) for name in names}
    return BaselinePlace(place, True, files, _local_list(place / LIST_NAME), LIST_NAME)


def _read_file(place: Path) -> BaselinePlace:
    """Return the one baseline *place*, with its own list, or else its directory's."""
    files = {place.name: read_bytes(place)}
    own = place.with_name(place.name + LIST_SUFFIX)
    signed = _local_list(own)
    if signed is None and (whole := _local_list(place.with_name(LIST_NAME))) is not None:
        return BaselinePlace(place, False, files, whole, LIST_NAME)
    return BaselinePlace(place, False, files, signed, own.name)


def parsed(found: BaselinePlace, name: str) -> Baseline:
    """Return the baseline *name* of what was *found*; `BaselineError` names its file."""
    return parse_bytes(found.files[name], source=str(found.file(name)))


def stamps_of(place: Path | RecordingUrl) -> Stamps:
    """Return what changes when *place* does, without reading a file; empty where nothing is there.

    A store that tells neither a tag nor a time has a length only. Failures of stores are
    `EthogramError`s.
    """
    if isinstance(place, RecordingUrl):
        remote, names = _remote(place)
        return {name: one for name, one in remote.stamps().items() if _counts(name, names)}
    if place.is_dir():
        names_here = [*_names(place, below=True), LIST_NAME]
        return dict(_stamped(place, names_here))
    names_here = [place.name, place.name + LIST_SUFFIX, LIST_NAME]
    return dict(_stamped(place.parent, names_here))


def named_model(found: BaselinePlace, name: str) -> Iterator[bytes]:
    """Yield, in parts, the model *name* beside what was *found*; nothing where it is missing."""
    file = found.file(name)
    try:
        if isinstance(file, RecordingUrl):
            remote, _ = _remote(found.place)
            yield _bounded(remote.read(name, _LIMIT_BYTES + 1), str(file))
            return
        with open_plain(file) as stream:
            while part := stream.read(1 << 20):
                yield part
    except FileNotFoundError:
        return
    except OSError as error:
        raise BaselineError(f"`{file}` cannot be read: {error.strerror}") from error


# --- on disk ----------------------------------------------------------------------------------


def _names(directory: Path, *, below: bool) -> list[str]:
    """Return the baselines in *directory* by their paths there; `BaselineError` for too many."""
    try:
        return _walked(directory, below=below)
    except OSError as error:  # also where a directory went while it was read
        name = error.filename or directory
        raise BaselineError(f"`{name}` cannot be read: {error.strerror}") from error


def _walked(directory: Path, *, below: bool) -> list[str]:
    found: list[str] = []
    waiting = [("", 0)]
    while waiting:
        prefix, depth = waiting.pop()
        with os.scandir(directory / prefix) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if below and depth < _DEEPEST:
                        waiting.append((f"{name}/", depth + 1))
                elif entry.name.endswith(SUFFIX):
                    found.append(name)
        if len(found) > _MOST_FILES:
            raise BaselineError(f"`{directory}` holds more than {_MOST_FILES:,} baselines")
    return found


def _stamped(directory: Path, names: list[str]) -> Iterator[tuple[str, tuple[object, ...]]]:
    for name in names:
        try:
            state = (directory / name).stat()
        except OSError:
            continue
        yield name, (state.st_mtime_ns, state.st_size, state.st_ino, state.st_dev)


def _local_list(path: Path) -> bytes | None:
    try:
        with open_plain(path) as file:
            content = file.read(_LIST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BaselineError(f"`{path}` cannot be read: {error.strerror}") from error
    if len(content) > _LIST_BYTES:
        raise _too_large(str(path), _LIST_BYTES)
    return content


# --- in stores --------------------------------------------------------------------------------


def _remote(place: Path | RecordingUrl) -> tuple[Remote, tuple[str, ...]]:
    """Return the store that has *place*, and which names of it count; none: all baselines."""
    assert isinstance(place, RecordingUrl)
    if is_directory(place):
        return Remote(place), ()
    base, _, name = place.given.rstrip("/").rpartition("/")
    return Remote(RecordingUrl(base)), (name, name + LIST_SUFFIX, LIST_NAME)


def _counts(name: str, names: tuple[str, ...]) -> bool:
    return name in names if names else name.endswith(SUFFIX) or name == LIST_NAME


def _read_url(place: RecordingUrl) -> BaselinePlace:
    remote, names = _remote(place)
    try:
        there = remote.stamps()
        wanted = sorted(name for name in there if _counts(name, names))
        if len(wanted) > _MOST_FILES:
            raise BaselineError(f"`{place}` holds more than {_MOST_FILES:,} baselines")
        lists = [one for one in (*names[1:], LIST_NAME) if one in there]
        list_name = lists[0] if lists else (*names[1:], LIST_NAME)[0]
        files = [name for name in wanted if name.endswith((".yaml", ".yml"))]
        if not files:
            raise BaselineError(
                f"there is no `*{SUFFIX}` at `{place}`", hint="check the bucket and the path"
            )
        contents = {
            name: _bounded(remote.read(name, _LIMIT_BYTES + 1), f"{place}/{name}") for name in files
        }
        signed = remote.read(list_name, _LIST_BYTES + 1) if lists else None
    except FileNotFoundError as error:  # between listing and reading
        raise BaselineError(f"`{place}` changed while it was read") from error
    except BaselineError:
        raise
    except EthogramError as error:
        raise BaselineError(error.message, hint=error.hint) from error
    if signed is not None and len(signed) > _LIST_BYTES:
        raise _too_large(f"{place}/{list_name}", _LIST_BYTES)
    return BaselinePlace(place, not names, contents, signed, list_name)


def _bounded(content: bytes, name: str) -> bytes:
    if len(content) > _LIMIT_BYTES:
        raise _too_large(name, _LIMIT_BYTES)
    return content


def _too_large(name: str, limit: int) -> BaselineError:
    return BaselineError(
        f"`{name}` is larger than {limit >> 20} MiB",
        hint="`ethogram learn` and `ethogram sign` write no such file",
    )
