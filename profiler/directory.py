"""The directory of a recording: taken for one writer, private, and never emptied too early."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from ethogram.contracts.durable import TEMPORARY_SUFFIX, sync_directory
from ethogram.contracts.journal_format import (
    JOURNAL_DIRECTORY,
    JOURNAL_SUFFIX,
    PARQUET_SUFFIX,
    part_of,
)
from ethogram.contracts.manifest import MANIFEST_NAME
from ethogram.errors import UsageError
from profiler.lock import lock_directory

__all__ = [
    "bring_back",
    "claim_directory",
    "delete_recording",
    "delete_void",
    "forget_replaced",
    "holds_replaced",
    "make_private",
]

# The recording that `--force` replaces, until the first window of the new one is whole.
_REPLACED = "replaced"


def claim_directory(directory: Path, *, force: bool) -> int:
    """Make *directory* one without a recording and return its lock, or raise `UsageError`.

    With *force* a recording that is there is set aside: `forget_replaced` deletes it, `bring_back`
    undoes it. Anything else is refused, and no file that is not a recording's is ever moved.
    """
    try:
        if not directory.exists() and not directory.is_symlink():
            directory.mkdir(mode=0o700)
            sync_directory(directory.parent)
        if not directory.is_dir():
            raise UsageError(
                f"`{directory}` is there and is not a directory", hint="name another place"
            )
        lock = lock_directory(directory)
        try:
            names = sorted(entry.name for entry in directory.iterdir())
            if names:
                _set_aside(directory, names, force=force)
        except BaseException:
            os.close(lock)
            raise
    except FileNotFoundError as error:
        if directory.parent.is_dir():  # of a file system that takes no directories, as in /proc
            raise _unwritable(directory, error) from error
        raise UsageError(
            f"`{directory.parent}` does not exist", hint="create the directory, or name another"
        ) from error
    except OSError as error:
        raise _unwritable(directory, error) from error
    return lock


def make_private(directory: int) -> None:
    """Make the open *directory* this user's alone.

    Somebody may have made it for us, and root without privileges may not write where that is not
    root.
    """
    if os.fstat(directory).st_uid != os.geteuid():
        os.fchown(directory, os.geteuid(), os.getegid())
    os.fchmod(directory, 0o700)


def forget_replaced(directory: Path) -> None:
    """Delete the recording that `claim_directory` set aside."""
    old = directory / _REPLACED
    if old.is_dir():
        delete_recording(old)
        old.rmdir()


def bring_back(directory: Path) -> None:
    """Put the recording that `claim_directory` set aside back, where there is one."""
    old = directory / _REPLACED
    if old.is_dir():
        _move(old, directory)
        old.rmdir()


def delete_recording(directory: Path) -> None:
    """Delete the files of the recording *directory*, and no others."""
    ours, _ = _sorted_out(directory)
    for path in ours:
        path.unlink()
    with contextlib.suppress(FileNotFoundError):
        (directory / JOURNAL_DIRECTORY).rmdir()


def delete_void(directory: Path, listed: Collection[str]) -> int:
    """Delete the files of the recording *directory* that its manifest does not list; say how many.

    Those that a kill left of a rewriting: nobody reads them, and they hold rows all the same.
    """
    ours, _ = _sorted_out(directory)
    void = [path for path in ours if path.name not in {MANIFEST_NAME, *listed}]
    for path in void:
        path.unlink()
    return len(void)


def holds_replaced(directory: Path) -> bool:
    """Say whether a recording that was set aside is there still."""
    return (directory / _REPLACED).is_dir()


def _unwritable(directory: Path, error: OSError) -> UsageError:
    return UsageError(
        f"`{directory}` cannot be written: {os.strerror(error.errno or 0)}",
        hint="name another place",
    )


def _set_aside(directory: Path, names: list[str], *, force: bool) -> None:
    old = directory / _REPLACED
    is_left = old.is_dir() and not old.is_symlink()
    if MANIFEST_NAME not in names and not is_left:
        raise UsageError(
            f"`{directory}` is not empty and is no recording", hint="name a new directory"
        )
    if not force:
        raise UsageError(
            f"`{directory}` holds a recording", hint="pass `--force` to replace it, or name another"
        )
    _refuse_foreign(directory)
    if is_left:
        _refuse_foreign(old)
        if MANIFEST_NAME in names and (old / MANIFEST_NAME).exists():
            # A recorder was killed before its first window: what it was to replace is whole.
            delete_recording(directory)
            return
    else:
        old.mkdir(mode=0o700)
    _move(directory, old)


def _refuse_foreign(directory: Path) -> None:
    _, foreign = _sorted_out(directory)
    if foreign:
        raise UsageError(
            f"`{directory}` holds a file that is no recording's: {foreign[0].name!a}",
            hint="move it away, or name another directory",
        )


def _move(source: Path, target: Path) -> None:
    """Move the recording *source* into *target*; what was cut short can be repeated."""
    journal = target / JOURNAL_DIRECTORY
    if (source / JOURNAL_DIRECTORY).is_dir() and not journal.is_dir():
        journal.mkdir(mode=0o700)
    ours, _ = _sorted_out(source)
    for path in ours:
        path.rename(target / path.relative_to(source))
    with contextlib.suppress(FileNotFoundError):
        (source / JOURNAL_DIRECTORY).rmdir()


def _sorted_out(directory: Path) -> tuple[list[Path], list[Path]]:
    """Return (files that a recorder writes, all others) of a recording, links being others."""
    ours: list[Path] = []
    foreign: list[Path] = []
    folders = ((directory, PARQUET_SUFFIX), (directory / JOURNAL_DIRECTORY, JOURNAL_SUFFIX))
    for folder, suffix in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            is_plain_directory = path.is_dir() and not path.is_symlink()
            if path.name in {JOURNAL_DIRECTORY, _REPLACED} and is_plain_directory:
                continue
            name = path.name.removesuffix(TEMPORARY_SUFFIX)
            part = part_of(name)
            is_ours = name == MANIFEST_NAME or (part is not None and part[2] == suffix)
            is_plain = path.is_file() and not path.is_symlink()
            (ours if is_ours and is_plain else foreign).append(path)
    # The manifest goes last: what is cut short can be repeated.
    ours.sort(key=lambda path: path.name == MANIFEST_NAME)
    return ours, foreign
