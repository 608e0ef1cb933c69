"""Turns parts of a journal into Parquet, a batch at a time, so that a kill loses nothing.

The manifest decides: a part counts as Parquet from the moment that the manifest lists its file,
and as journal until then. So a Parquet file that is not listed is void, and a stream whose part is
listed is a remainder; both are deleted when compaction is run again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.durable import (
    TEMPORARY_SUFFIX,
    create_file,
    sync_directory,
    write_all,
)
from ethogram.contracts.journal_format import (
    JOURNAL_DIRECTORY,
    JOURNAL_SUFFIX,
    PARQUET_SUFFIX,
    part_name,
    part_of,
    read_stream,
    scan_stream,
)
from ethogram.contracts.manifest import DataFile, Manifest, read_manifest, write_manifest
from ethogram.contracts.parquet_rows import conform_batch
from ethogram.contracts.recording import Recording, last_rows
from ethogram.contracts.tables import TABLES, Table
from ethogram.errors import CaptureError, RecordingError
from profiler.lock import lock_directory

__all__ = ["compact", "compact_part", "write_parquet"]

# A group is held in memory, and written in one piece while the kernel's rings fill.
_GROUP_ROWS = 1 << 18
_GROUP_BYTES = 16 << 20


def compact(directory: Path) -> Manifest:
    """Compact what a killed recorder left at *directory*; return the new manifest.

    What the manifest says of the end stays: the recording is no more complete than it was.
    `CaptureError` while its recorder still runs, or where the disk refuses.
    """
    manifest = read_manifest(directory)
    lock = lock_directory(directory)
    journal = directory / JOURNAL_DIRECTORY
    try:
        for path in sorted(journal.iterdir()) if journal.is_dir() else ():
            part = part_of(path.name)
            if part is not None and part[0] in TABLES and part[2] == JOURNAL_SUFFIX:
                manifest = compact_part(directory, manifest, part[0], part[1])
        if journal.is_dir() and not any(journal.iterdir()):
            journal.rmdir()
        if manifest.ended is None:
            manifest = _recounted(directory, manifest)
    except OSError as error:
        raise CaptureError(
            f"`{directory}` cannot be compacted: {os.strerror(error.errno or 0)}",
            hint="free space and run it again: the journal is kept",
        ) from error
    finally:
        os.close(lock)
    return manifest


def _recounted(directory: Path, manifest: Manifest) -> Manifest:
    """Count the window that was whole when the recorder was killed, before it could count it."""
    sent, dropped = manifest.sent, manifest.dropped
    counted = manifest.windows + (dropped.windows if dropped else 0)
    files = (*(sent.files if sent else ()), *manifest.files)
    windows = sum(file.rows for file in files if file.table == "windows")
    if windows == manifest.windows:
        return manifest
    late = Recording.open(directory).table("losses").filter(pc.field("window") >= counted)
    losses = manifest.losses + (pc.sum(late["count"]).as_py() or 0)
    manifest = manifest.model_copy(update={"windows": windows, "losses": losses})
    write_manifest(directory, manifest)
    return manifest


def compact_part(
    directory: Path,
    manifest: Manifest,
    table: str,
    part: int,
    *,
    windows: tuple[int, int] | None = None,
    between: Callable[[], None] = lambda: None,
) -> Manifest:
    """Replace one part of the journal by Parquet; return the manifest that lists it.

    It holds rows of *windows*, first and last. *between* is called now and then for what cannot
    wait. `OSError` where the disk refuses: the part is in the journal then, and nothing else is
    left.
    """
    stream = directory / JOURNAL_DIRECTORY / part_name(table, part, JOURNAL_SUFFIX)
    target = directory / part_name(table, part, PARQUET_SUFFIX)
    if all(file.path != target.name for file in manifest.files):
        written = _write_part(TABLES[table], stream, target, between)
        if written is not None:
            if windows is not None:
                span = {"first_window": windows[0], "last_window": windows[1]}
                written = written.model_copy(update=span)
            manifest = manifest.model_copy(update={"files": (*manifest.files, written)})
            write_manifest(directory, manifest)
    stream.unlink()
    return manifest


def _write_part(
    table: Table, stream: Path, target: Path, between: Callable[[], None]
) -> DataFile | None:
    """Write *stream* as *target*; None, and no file, where it holds no whole batch."""
    try:
        extent = scan_stream(stream)
    except ValueError as error:
        raise RecordingError(f"`{stream}` is no journal: {error}") from error
    if not extent.batches:
        return None
    return write_parquet(table, _rows(table, stream, extent.batches), target, between=between)


def write_parquet(
    table: Table,
    batches: Iterator[pa.RecordBatch],
    target: Path,
    *,
    between: Callable[[], None] = lambda: None,
) -> DataFile:
    """Write rows of *table* as the file *target*, whole or not at all; return how to list it."""
    temporary = target.with_name(target.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    sink = _Sink(temporary)
    try:
        rows = _copy(table, batches, sink, between)
        sink.sync()
        between()
        temporary.replace(target)
        sync_directory(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        sink.release()
    return DataFile(
        path=target.name,
        table=table.name,
        rows=rows,
        sha256=sink.digest.hexdigest(),
        size_bytes=sink.size_bytes,
    )


def _rows(table: Table, stream: Path, batches: int) -> Iterator[pa.RecordBatch]:
    def read(columns: frozenset[str] | None) -> Iterator[pa.RecordBatch]:
        for batch in read_stream(stream, batches):
            yield conform_batch(table, batch, stream, columns=columns)

    reread: Callable[[frozenset[str] | None], Iterator[pa.RecordBatch]] = read
    return last_rows(table, reread) if len(table.key) == 1 else read(None)


def _copy(
    table: Table,
    batches: Iterator[pa.RecordBatch],
    sink: _Sink,
    between: Callable[[], None],
) -> int:
    """Write *batches* in row groups of a bounded size; return the number of rows."""
    import pyarrow.parquet as pq  # noqa: PLC0415  not before it records: see `profiler.loading`

    schema = table.arrow_schema()
    rows = 0
    group: list[pa.RecordBatch] = []
    group_rows = group_bytes = 0
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            group.append(batch)
            group_rows += batch.num_rows
            group_bytes += batch.nbytes
            if group_rows >= _GROUP_ROWS or group_bytes >= _GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(group, schema), _GROUP_ROWS)
                rows += group_rows
                group, group_rows, group_bytes = [], 0, 0
                between()
        if group_rows:
            writer.write_table(pa.Table.from_batches(group, schema), _GROUP_ROWS)
    return rows + group_rows


class _Sink:
    """What Arrow writes Parquet into: a new file, its digest and its length in one pass.

    An error of the disk is raised once and kept: Arrow goes on to write a footer after it.
    """

    def __init__(self, path: Path) -> None:
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.closed = False
        self._descriptor = create_file(path)

    def write(self, data: bytes) -> int:
        write_all(self._descriptor, data)
        self.digest.update(data)
        self.size_bytes += len(data)
        return len(data)

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Arrow has written its last byte; `release` closes the file."""
        self.closed = True

    def release(self) -> None:
        os.close(self._descriptor)
