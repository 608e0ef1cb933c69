"""Writes a recording while it runs: a stream a table, flushed each window, compacted at the end."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.columns import Values, batch_of
from ethogram.contracts.durable import TEMPORARY_SUFFIX, sync_directory
from ethogram.contracts.journal_format import (
    JOURNAL_DIRECTORY,
    JOURNAL_SUFFIX,
    PARQUET_SUFFIX,
    part_name,
    part_of,
)
from ethogram.contracts.manifest import MANIFEST_NAME, Manifest, write_manifest
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError, UsageError
from profiler.compaction import compact_part
from profiler.lock import lock_directory
from profiler.stream import TableStream

__all__ = ["Journal"]

_ROTATE_BYTES = 256 << 20


class Journal:
    """The writing end of a recording.

    `append` collects rows, `flush` ends a window: once it has returned, a killed process loses
    none of them. Table `windows` is written last, so that a window which is in it is whole. Where
    the disk refuses, the open window is rolled back and `CaptureError` says what is kept; after
    that only `close` may be called.
    """

    def __init__(self, path: Path, manifest: Manifest, lock: int, *, rotate_bytes: int) -> None:
        """Use `Journal.create`; *lock* is the descriptor that locks *path*."""
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._rotate_bytes = rotate_bytes
        self._streams: dict[str, TableStream] = {}
        self._parts: dict[str, int] = {}
        self._windows = 0
        self._losses = 0
        self._is_failed = False
        self._is_closed = False
        self._is_ours = False  # the directory, which was not there before

    @classmethod
    def create(
        cls,
        path: str | Path,
        manifest: Manifest,
        force: bool = False,
        *,
        rotate_bytes: int = _ROTATE_BYTES,
    ) -> Self:
        """Begin a recording at *path*, which must not exist or be an empty directory.

        With *force*, a recording that is there is deleted first; anything else is refused with
        `UsageError`, and no file that is not a recording's is ever deleted.
        """
        directory = Path(path)
        is_new = not directory.exists()
        lock = _make_directory(directory, force=force)
        journal = cls(directory, manifest, lock, rotate_bytes=rotate_bytes)
        journal._is_ours = is_new
        try:
            _make_private(lock)
            (directory / JOURNAL_DIRECTORY).mkdir(mode=0o700)
            write_manifest(directory, manifest)
        except OSError as error:
            failure = journal._failure(error)
            journal.discard()
            raise failure from error
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_closed:
            self.close(clean_end=error is None)

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Add rows to *table* of the open window.

        Enum columns take names or codes. `ValueError` names an unknown or missing column, a length
        that differs, a value that does not fit; then nothing of *columns* was added.
        """
        self._require_open()
        batch = batch_of(TABLES[table], columns)
        if not batch.num_rows:
            return
        self._count(table, batch)
        if table not in self._streams:
            self._streams[table] = self._stream(table)
        try:
            self._streams[table].append(batch)
        except OSError as error:
            raise self._fail(error) from error

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """End the window: write what was appended, make it durable, count it in the manifest.

        A disk takes its time: *between* is called after each table for what cannot wait.
        """
        self._require_open()
        try:
            for table in sorted(self._streams, key=lambda name: (name == "windows", name)):
                self._streams[table].flush()
            for stream in self._streams.values():
                stream.commit()
                if between:
                    between()
            self._write_manifest(sync=False)
            for table, stream in list(self._streams.items()):
                if stream.size_bytes >= self._rotate_bytes:
                    self._compact(table)
        except OSError as error:
            raise self._fail(error) from error

    def update(self, **fields: Any) -> None:
        """Change *fields* of the manifest; they are written when the window ends."""
        if unknown := sorted(set(fields) - set(Manifest.model_fields)):
            raise ValueError(f"the manifest has no field `{unknown[0]}`")
        self.manifest = self.manifest.model_copy(update=fields)

    def close(self, *, ended: datetime | None = None, clean_end: bool = True) -> Manifest:
        """End the recording and compact it to Parquet; return its last manifest.

        What was appended since `flush` is written first. After a failure the journal is left as it
        is, readable, and the manifest says that the end is not clean. `CaptureError` where the
        disk refuses; the journal stays then.
        """
        if self._is_closed:
            return self.manifest
        try:
            if not self._is_failed:
                self.flush()
                self._end(ended, clean_end=clean_end)
            else:
                self._end_failed(ended)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            self.abandon()
        return self.manifest

    def _end(self, ended: datetime | None, *, clean_end: bool) -> None:
        for stream in self._streams.values():
            stream.close()
        self.update(ended=ended or datetime.now(UTC), clean_end=clean_end)
        self._write_manifest(sync=True)
        for table in list(self._streams):
            self._compact(table)
        (self.path / JOURNAL_DIRECTORY).rmdir()

    def _end_failed(self, ended: datetime | None) -> None:
        """Say when it ended, where that fits on the disk; the failure itself was said before."""
        running = self.manifest
        self.update(ended=ended or datetime.now(UTC), clean_end=False)
        try:
            self._write_manifest(sync=True)
        except OSError:
            self.manifest = running  # what the disk still says

    def abandon(self) -> None:
        """Let go of the files as they are, as a kill would: nothing is written or marked."""
        self._is_closed = True
        for stream in self._streams.values():
            stream.release()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def discard(self) -> None:
        """Let go, and delete the recording; for one that never began, so that nothing is lost.

        The directory goes too where `create` made it and this process may still remove it.
        """
        self.abandon()
        with contextlib.suppress(OSError):
            ours, _ = _sorted_out(self.path)
            for path in ours:
                path.unlink()
            (self.path / JOURNAL_DIRECTORY).rmdir()
        if self._is_ours:
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def _stream(self, table: str) -> TableStream:
        part = self._parts.setdefault(table, 0)
        name = part_name(table, part, JOURNAL_SUFFIX)
        try:
            return TableStream(self.path / JOURNAL_DIRECTORY / name, TABLES[table].arrow_schema())
        except OSError as error:
            raise self._fail(error) from error

    def _count(self, table: str, batch: pa.RecordBatch) -> None:
        if table == "windows":
            self._windows += batch.num_rows
        elif table == "losses":
            self._losses += pc.sum(batch.column("count")).as_py()

    def _write_manifest(self, *, sync: bool) -> None:
        self.update(windows=self._windows, losses=self._losses)
        write_manifest(self.path, self.manifest, sync=sync)

    def _compact(self, table: str) -> None:
        """Turn the current part of *table* into Parquet; the next row begins a new part."""
        self._streams[table].close()
        self.manifest = compact_part(self.path, self.manifest, table, self._parts[table])
        del self._streams[table]
        self._parts[table] += 1

    def _require_open(self) -> None:
        if self._is_closed or self._is_failed:
            raise ValueError("the journal is closed, or the disk refused before")

    def _fail(self, error: OSError) -> CaptureError:
        self._is_failed = True
        self._windows, self._losses = self.manifest.windows, self.manifest.losses
        for stream in self._streams.values():
            stream.roll_back()
        return self._failure(error)

    def _failure(self, error: OSError) -> CaptureError:
        if error.errno == errno.ENOENT and not self.path.is_dir():
            return CaptureError(
                f"`{self.path}` was moved or removed while it was recorded to",
                hint="record again, to a place that nothing cleans up",
            )
        kept = self.manifest.windows
        return CaptureError(
            f"`{self.path}` cannot be written: {os.strerror(error.errno or 0)}; "
            f"{kept} {'window is' if kept == 1 else 'windows are'} kept",
            hint=f"free space, or name another place; `ethogram show {self.path}` reads the rest",
        )


def _make_directory(directory: Path, *, force: bool) -> int:
    """Make *directory* an empty one and return its lock, or raise `UsageError`."""
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
                _delete_recording(directory, names, force=force)
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


def _make_private(directory: int) -> None:
    """Make the open *directory* this user's alone.

    Somebody may have made it for us, and root without privileges may not write where that is not
    root.
    """
    if os.fstat(directory).st_uid != os.geteuid():
        os.fchown(directory, os.geteuid(), os.getegid())
    os.fchmod(directory, 0o700)


def _unwritable(directory: Path, error: OSError) -> UsageError:
    return UsageError(
        f"`{directory}` cannot be written: {os.strerror(error.errno or 0)}",
        hint="name another place",
    )


def _delete_recording(directory: Path, names: list[str], *, force: bool) -> None:
    if MANIFEST_NAME not in names:
        raise UsageError(
            f"`{directory}` is not empty and is no recording", hint="name a new directory"
        )
    if not force:
        raise UsageError(
            f"`{directory}` holds a recording", hint="pass `--force` to replace it, or name another"
        )
    ours, foreign = _sorted_out(directory)
    if foreign:
        raise UsageError(
            f"`{directory}` holds a file that is no recording's: {foreign[0].name!a}",
            hint="move it away, or name another directory",
        )
    for path in ours:
        path.unlink()
    journal = directory / JOURNAL_DIRECTORY
    if journal.is_dir():
        journal.rmdir()


def _sorted_out(directory: Path) -> tuple[list[Path], list[Path]]:
    """Return (files that a recorder writes, all others) of a recording, links being others."""
    ours: list[Path] = []
    foreign: list[Path] = []
    for folder, suffix in ((directory, PARQUET_SUFFIX), (directory / "journal", JOURNAL_SUFFIX)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name == JOURNAL_DIRECTORY and path.is_dir() and not path.is_symlink():
                continue
            name = path.name.removesuffix(TEMPORARY_SUFFIX)
            part = part_of(name)
            is_ours = name == MANIFEST_NAME or (part is not None and part[2] == suffix)
            is_plain = path.is_file() and not path.is_symlink()
            (ours if is_ours and is_plain else foreign).append(path)
    # The manifest goes last: a deletion that is cut short can be repeated.
    ours.sort(key=lambda path: path.name == MANIFEST_NAME)
    return ours, foreign
