"""Writes a recording while it runs: a stream a table, flushed each window, compacted at the end."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from ethogram.contracts.columns import Values, batch_of
from ethogram.contracts.journal_format import (
    JOURNAL_DIRECTORY,
    JOURNAL_SUFFIX,
    part_name,
)
from ethogram.contracts.manifest import DataFile, Manifest, Sent, write_manifest
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError
from profiler.compaction import compact_part
from profiler.directory import (
    bring_back,
    claim_directory,
    delete_recording,
    forget_replaced,
    make_private,
)
from profiler.rotation import Rotation, Segment, overdue, rarer
from profiler.segments import Tally, and_dropped, has_windows, part_number
from profiler.spool import Outlet, not_sent
from profiler.stream import TableStream
from profiler.upload import Delivery

__all__ = ["Journal"]


class Journal:
    """The writing end of a recording.

    `append` collects rows, `flush` ends a window: once it has returned, a killed process loses
    none of them. Table `windows` is written last, so that a window which is in it is whole. Where
    the disk refuses, the open window is rolled back and `CaptureError` says what is kept; after
    that only `close` may be called.

    All tables are rotated together, so that parts of one number hold the same windows: that is a
    segment, the unit in which old windows are dropped.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        lock: int,
        *,
        rotation: Rotation,
        now: Callable[[], float],
        outlet: Outlet | None,
    ) -> None:
        """Use `Journal.create`; *lock* is the descriptor that locks *path*."""
        self.path = path
        self.manifest = manifest
        self._lock = lock
        self._rotation = rotation
        self._outlet = outlet
        self._now = now
        self._began = now()
        self._streams: dict[str, TableStream] = {}
        self._open = Tally()
        self._segments: list[Segment] = []
        self._offered: set[str] = set()
        self._gone: list[str] = []
        self._number = 0
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
        rotation: Rotation | None = None,
        now: Callable[[], float] = time.monotonic,
        outlet: Outlet | None = None,
    ) -> Self:
        """Begin a recording at *path*, which must not exist or be an empty directory.

        With *force*, a recording that is there is deleted once the first window of the new one is
        whole, and is back after `discard`; anything else is refused with `UsageError`. *now* tells
        seconds. With *outlet* this is a spool: files leave it once they have arrived elsewhere.
        """
        directory = Path(path)
        is_new = not directory.exists()
        lock = claim_directory(directory, force=force)
        journal = cls(
            directory, manifest, lock, rotation=rotation or Rotation(), now=now, outlet=outlet
        )
        journal._is_ours = is_new
        if retain := journal._rotation.retain:
            journal.update(retain=str(retain))
        if outlet is not None:
            journal.update(sent=Sent(url=str(outlet.uploader.remote.url)))
        try:
            make_private(lock)
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
            forget_replaced(self.path)
            if self._outlet:
                self._settle()
            if self._is_due():
                self._rotate(between or _nothing)
                self._drop_old()
                self._offer()
            else:
                self._drop_old()
        except OSError as error:
            raise self._fail(error) from error

    def look(self, span: Mapping[str, Values], *, between: object = None) -> None:
        """Wait for the window's end."""

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
        self._rotate(_nothing)
        self._drop_old()
        (self.path / JOURNAL_DIRECTORY).rmdir()
        if self._outlet:
            self._offer()
            self._send_rest(self._outlet)

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

        What it was to replace is back then. The directory goes too where `create` made it and this
        process may still remove it.
        """
        self.abandon()
        with contextlib.suppress(OSError):
            delete_recording(self.path)
            bring_back(self.path)
        if self._is_ours:
            with contextlib.suppress(OSError):
                self.path.rmdir()

    def _stream(self, table: str) -> TableStream:
        name = part_name(table, self._number, JOURNAL_SUFFIX)
        try:
            return TableStream(self.path / JOURNAL_DIRECTORY / name, TABLES[table].arrow_schema())
        except OSError as error:
            raise self._fail(error) from error

    def _count(self, table: str, batch: pa.RecordBatch) -> None:
        if table == "windows":
            self._open.take(batch)
            self._windows += batch.num_rows
        elif table == "losses":
            number = int(batch.column("count").to_numpy().sum())
            self._open.losses += number
            self._losses += number

    def _write_manifest(self, *, sync: bool) -> None:
        self.update(windows=self._windows, losses=self._losses)
        write_manifest(self.path, self.manifest, sync=sync)

    # --- rotation ----------------------------------------------------------------------------

    def _is_due(self) -> bool:
        rotation = self._rotation
        return bool(self._open.windows) and (
            self._now() - self._began >= rotation.every_s * rarer(len(self._all_files()))
            or self.journal_bytes() >= rotation.size_bytes
        )

    def journal_bytes(self) -> int:
        """Return what the journal has on the disk, until it is rotated."""
        return sum(stream.size_bytes for stream in self._streams.values())

    def _rotate(self, between: Callable[[], None]) -> None:
        """Turn what the journal has into Parquet; the next row begins new parts."""
        number, tally = self._number, self._open
        known = len(self.manifest.files)
        for table in list(self._streams):
            self._streams[table].close()
            self.manifest = compact_part(
                self.path, self.manifest, table, number, windows=tally.span(), between=between
            )
            del self._streams[table]
        # What says who somebody was is kept: windows that stay refer to it.
        freed = sum(
            file.size_bytes or 0 for file in self.manifest.files[known:] if has_windows(file.table)
        )
        if tally.windows:
            self._segments.append(tally.segment(number, freed))
        self._number += 1
        self._open = Tally()
        self._began = self._now()

    def _drop_old(self) -> None:
        """Delete the oldest segments that need not be kept: first from the manifest, then here."""
        retain = self._rotation.retain
        if retain is None or not self._segments:
            return
        # The newest windows stay, however much there is of what is never dropped.
        segments = self._segments if self._open.windows else self._segments[:-1]
        listed = sum(file.size_bytes or 0 for file in self._all_files()) + self.journal_bytes()
        kept_bytes = listed - sum(segment.size_bytes for segment in segments)
        newest = self._open.end_ns or self._segments[-1].end_ns
        old = segments[: overdue(segments, retain, now_ns=newest, kept_bytes=kept_bytes)]
        if not old:
            return
        numbers = {segment.number for segment in old}
        sent = self.manifest.sent
        gone, gone_there = (
            [f for f in files if has_windows(f.table) and part_number(f.path) in numbers]
            for files in (self.manifest.files, sent.files if sent else ())
        )
        self._windows -= sum(segment.windows for segment in old)
        self._losses -= sum(segment.losses for segment in old)
        self.update(
            files=_without(self.manifest.files, {file.path for file in gone}),
            dropped=and_dropped(self.manifest.dropped, old),
        )
        if sent:
            kept = _without(sent.files, {file.path for file in gone_there})
            self.update(sent=sent.model_copy(update={"files": kept}))
        self._gone += [file.path for file in (*gone, *gone_there)]
        self._write_manifest(sync=True)
        del self._segments[: len(old)]
        for file in gone:
            (self.path / file.path).unlink()

    # --- uploading ---------------------------------------------------------------------------

    def begin_upload(self, replaced: tuple[str, ...] = ()) -> None:
        """Upload the first manifest, then delete the files *replaced* there."""
        assert self._outlet is not None
        self._gone += replaced
        self._offer()

    def spooled_bytes(self) -> int:
        """Return what waits here: the journal, and files that have not arrived."""
        return self.journal_bytes() + sum(file.size_bytes or 0 for file in self.manifest.files)

    def _all_files(self) -> tuple[DataFile, ...]:
        sent = self.manifest.sent
        return (*(sent.files if sent else ()), *self.manifest.files)

    def _offer(self) -> None:
        """Have files uploaded that were not offered yet, and a manifest that lists all."""
        if self._outlet is None:
            return
        new = tuple(file for file in self.manifest.files if file.path not in self._offered)
        self._offered = {file.path for file in self.manifest.files}
        manifest = self.manifest.model_copy(update={"files": self._all_files(), "sent": None})
        self._outlet.uploader.offer(Delivery(new, manifest, tuple(self._gone)))
        self._gone = []

    def _settle(self) -> None:
        """Delete here what has arrived there: first from the manifest, then the files."""
        sent = self.manifest.sent
        assert self._outlet is not None
        assert sent is not None
        names = self._outlet.uploader.take_delivered()
        arrived = [file for file in self.manifest.files if file.path in names]
        if not arrived:
            return
        self.update(
            files=_without(self.manifest.files, names),
            sent=sent.model_copy(update={"files": (*sent.files, *arrived)}),
        )
        self._write_manifest(sync=True)
        for file in arrived:
            (self.path / file.path).unlink()

    def _send_rest(self, outlet: Outlet) -> None:
        """Wait for what is still to be uploaded; `CaptureError`, and a spool that stays, if not."""
        is_complete = False
        try:
            is_complete = outlet.uploader.finish(outlet.patience_s)
        finally:
            self._settle()
        if not is_complete:
            raise not_sent(outlet.uploader, self.path, len(self.manifest.files))
        delete_recording(self.path)
        if self._is_ours:
            self.path.rmdir()

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
        rest = f"send {self.path}` uploads" if self._outlet else f"show {self.path}` reads"
        return CaptureError(
            f"`{self.path}` cannot be written: {os.strerror(error.errno or 0)}; "
            f"{kept} {'window is' if kept == 1 else 'windows are'} kept",
            hint="rotate less often, or pass `--retain`"
            if error.errno == errno.EFBIG
            else f"free space, or name another place; `ethogram {rest} the rest",
        )


def _without(files: tuple[DataFile, ...], names: set[str]) -> tuple[DataFile, ...]:
    return tuple(file for file in files if file.path not in names)


def _nothing() -> None:
    """Nothing waits."""
