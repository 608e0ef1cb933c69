"""Reads a recording: journal and Parquet alike, one batch at a time, and refuses by name."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from ethogram.contracts.arrow import find_pandas
from ethogram.contracts.columns import conform_array, null_array
from ethogram.contracts.journal_format import (
    JOURNAL_DIRECTORY,
    JOURNAL_SUFFIX,
    PARQUET_SUFFIX,
    StreamExtent,
    part_name,
    part_of,
    read_stream,
    scan_stream,
)
from ethogram.contracts.manifest import (
    MANIFEST_MAX_BYTES,
    MANIFEST_NAME,
    DataFile,
    Manifest,
    no_recording,
    parse_manifest,
    read_manifest_bytes,
)
from ethogram.contracts.parquet_limits import check_limits, repeating_columns
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl, Remote, RemoteFile, location_of
from ethogram.contracts.tables import TABLES, Table
from ethogram.errors import RecordingError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Recording", "conform_batch", "last_rows", "parquet_batches"]

_BATCH_ROWS = 1 << 16
_DAMAGED = "the file is damaged or foreign: restore it, or record again"
_RUNNING = "where it is still being recorded, files are replaced: run it again; else restore it"
_ATTEMPTS = 5  # to read what a recorder replaces meanwhile


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a table: Parquet as the manifest lists it, or a stream of the journal."""

    path: Path | RemoteFile
    listed: DataFile | None = None
    extent: StreamExtent | None = None


class Recording:
    """A recording on disk or below a URL. Nothing is held open between calls.

    `is_truncated` says that a stream of the journal ends inside a batch: the recorder was killed
    while it wrote, and rows of the open window are missing.
    """

    def __init__(
        self,
        path: Path | RecordingUrl,
        manifest: Manifest,
        parts: dict[str, list[_Part]],
        *,
        manifest_sha256: str,
    ) -> None:
        """Use `Recording.open`."""
        self.path = path
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self._parts = parts
        self._verified: set[str] = set()

    @classmethod
    def open(cls, path: str | Path | RecordingUrl) -> Self:
        """Return the recording at *path*; `RecordingError` says what is wrong with it.

        Sizes and frames are checked here; digests, columns and rows when they are read.
        """
        find_pandas()
        place = location_of(path) if isinstance(path, str) else path
        return cls._open_remote(place) if isinstance(place, RecordingUrl) else cls._open(place)

    @classmethod
    def _open(cls, directory: Path) -> Self:
        if not directory.is_dir():
            what = "is not a directory" if directory.exists() else "does not exist"
            raise RecordingError(
                f"`{directory}` {what}", hint="name a directory that `ethogram record -o` wrote"
            )
        data = read_manifest_bytes(directory)
        for _ in range(_ATTEMPTS):
            found: Self | RecordingError
            try:
                found = cls._listed(directory, data)
            except RecordingError as error:
                found = error
            before, data = data, read_manifest_bytes(directory)
            if _same_files(before, data, directory):
                break
        if isinstance(found, RecordingError):
            raise found
        return found

    @classmethod
    def _listed(cls, directory: Path, data: bytes) -> Self:
        manifest = parse_manifest(data, directory)
        parts: dict[str, list[_Part]] = {name: [] for name in TABLES}
        for listed in manifest.files:
            # A table that a later version added is none of ours, and no error.
            if listed.table in parts:
                parts[listed.table].append(_parquet_part(directory, listed))
        for part in _journal_parts(directory, {listed.path for listed in manifest.files}):
            parts[part[0]].append(part[1])
        return cls(directory, manifest, parts, manifest_sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def _open_remote(cls, url: RecordingUrl) -> Self:
        remote = Remote(url)
        try:
            data = remote.read(MANIFEST_NAME, MANIFEST_MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise no_recording(url) from error
        manifest = parse_manifest(data, url)
        sizes = remote.sizes()
        parts: dict[str, list[_Part]] = {name: [] for name in TABLES}
        for listed in manifest.files:
            file = RemoteFile(remote, listed.path)
            if listed.path not in sizes:
                raise _missing(file)
            _check_size(file, listed, sizes[listed.path])
            if listed.table in parts:
                parts[listed.table].append(_Part(file, listed=listed))
        return cls(url, manifest, parts, manifest_sha256=hashlib.sha256(data).hexdigest())

    @property
    def is_truncated(self) -> bool:
        return bool(self.truncated_tables)

    @property
    def truncated_tables(self) -> tuple[str, ...]:
        """Names of the tables whose journal ends inside a batch."""
        return tuple(
            name
            for name, parts in self._parts.items()
            if any(part.extent and part.extent.is_truncated for part in parts)
        )

    def table(self, name: str) -> pa.Table:
        """Return table *name* whole, with exactly its schema; empty where nothing was recorded."""
        return pa.Table.from_batches(self.batches(name), TABLES[name].arrow_schema())

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield table *name* in batches that have exactly its schema.

        Of the rows of a table that one column identifies (`processes`, `workloads` ...) the last
        one of a key stands; earlier ones were written before all was known.
        """
        table = TABLES[name]
        if len(table.key) != 1:
            return self._raw_batches(table)
        return last_rows(table, lambda columns: self._raw_batches(table, columns))

    def verify(self) -> None:
        """Compare every listed file with its digest; `RecordingError` names the first that differs.

        The journal of a recording that has not ended in order has no digests.
        """
        for listed in self.manifest.files:
            if isinstance(self.path, RecordingUrl):
                _check_digest(RemoteFile(Remote(self.path), listed.path), listed)
            else:
                _check_digest(_parquet_part(self.path, listed).path, listed)

    def _raw_batches(
        self, table: Table, columns: frozenset[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        for part in self._parts[table.name]:
            if part.extent is not None:
                assert isinstance(part.path, Path)
                yield from _stream_batches(table, part.path, part.extent)
            elif part.listed is not None:
                # A bit that turned in a page may still be a value, and a wrong one. What is
                # elsewhere would be fetched twice: `verify` does it when asked.
                if isinstance(part.path, Path) and part.listed.path not in self._verified:
                    _check_digest(part.path, part.listed)
                    self._verified.add(part.listed.path)
                rows = part.listed.rows
                yield from parquet_batches(table, part.path, rows=rows, columns=columns)


def _check_digest(path: Path | RemoteFile, listed: DataFile) -> None:
    if _digest(path) != listed.sha256:
        raise RecordingError(
            f"`{path}` is not what was recorded: its sha256 differs from the manifest's",
            hint=_DAMAGED,
        )


def _parquet_part(directory: Path, listed: DataFile) -> _Part:
    path = directory / listed.path
    try:
        status = path.lstat()
    except OSError as error:
        raise _missing(path) from error
    inside = path.resolve().is_relative_to(directory.resolve())
    if not stat.S_ISREG(status.st_mode) or not inside:
        raise RecordingError(f"`{path}` is not a file of this recording: links are not followed")
    _check_size(path, listed, status.st_size)
    return _Part(path, listed=listed)


def _check_size(path: Path | RemoteFile, listed: DataFile, size: int | None) -> None:
    if None not in (size, listed.size_bytes) and size != listed.size_bytes:
        raise RecordingError(
            f"`{path}` has {size} bytes, the manifest says {listed.size_bytes}", hint=_DAMAGED
        )


def _same_files(before: bytes, now: bytes, directory: Path) -> bool:
    """Say whether both manifests list the same: if not, parts were replaced meanwhile."""
    if before == now:
        return True
    one, other = (parse_manifest(data, directory).files for data in (before, now))
    return one == other


def _missing(path: Path | RemoteFile) -> RecordingError:
    return RecordingError(f"`{path}` is missing: the manifest lists it", hint=_RUNNING)


def _digest(path: Path | RemoteFile) -> str:
    try:
        with open_plain(path) if isinstance(path, Path) else path.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            raise _missing(path) from error
        if isinstance(path, RemoteFile):
            raise path.remote.failure(error) from error
        if isinstance(error, OSError):
            raise RecordingError(f"`{path}` cannot be read: {error.strerror}") from error
        raise


def _journal_parts(directory: Path, listed: set[str]) -> Iterator[tuple[str, _Part]]:
    """Yield the streams that no Parquet file of the manifest stands for yet."""
    journal = directory / JOURNAL_DIRECTORY
    if journal.is_symlink():
        raise RecordingError(f"`{journal}` is a link: links are not followed")
    if not journal.is_dir():
        return
    for path in sorted(journal.iterdir()):
        named = part_of(path.name)
        if named is None or named[0] not in TABLES or named[2] != JOURNAL_SUFFIX:
            continue
        table, number, _ = named
        if part_name(table, number, PARQUET_SUFFIX) in listed:
            continue
        if path.is_symlink() or not path.is_file():
            raise RecordingError(
                f"`{path}` is not a file of this recording: links are not followed"
            )
        try:
            yield table, _Part(path, extent=scan_stream(path))
        except (OSError, ValueError) as error:
            raise RecordingError(f"`{path}` is no journal: {error}", hint=_DAMAGED) from error


def _stream_batches(table: Table, path: Path, extent: StreamExtent) -> Iterator[pa.RecordBatch]:
    stream = read_stream(path, extent.batches)
    while True:
        try:
            batch = next(stream, None)
        except FileNotFoundError as error:
            raise RecordingError(f"`{path}` is gone: it was replaced", hint=_RUNNING) from error
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"`{path}` cannot be read", hint=_DAMAGED) from error
        if batch is None:
            return
        yield conform_batch(table, batch, path)


def parquet_batches(
    table: Table,
    path: Path | RemoteFile,
    *,
    rows: int | None = None,
    columns: frozenset[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet file *path* with exactly *table*'s schema.

    Columns that *table* lacks are ignored, nullable ones that the file lacks are null. Only
    *columns* are read where given; the others are null. `RecordingError` names file and column.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  a recorder needs it only when it ends

    try:
        with _source(path) as source:
            metadata = pq.read_metadata(source)
            _require_size(metadata, path)
            file = pq.ParquetFile(
                source,
                metadata=metadata,
                pre_buffer=False,
                read_dictionary=repeating_columns(metadata.schema),
            )
            if rows is not None and file.metadata.num_rows != rows:
                raise RecordingError(
                    f"`{path}` has {file.metadata.num_rows} rows, the manifest says {rows}",
                    hint=_DAMAGED,
                )
            present = set(file.schema_arrow.names)
            wanted = [
                column.name
                for column in table.columns
                if column.name in present and (columns is None or column.name in columns)
            ]
            _check_columns(table, present, path)
            for batch in _group_by_group(file, wanted):
                yield conform_batch(table, batch, path, columns=columns)
    except RecordingError:
        raise
    except pa.ArrowException as error:
        raise RecordingError(f"`{path}` is no whole Parquet file", hint=_DAMAGED) from error
    except Exception as error:
        if isinstance(error, FileNotFoundError) and rows is not None:
            raise _missing(path) from error
        if isinstance(path, RemoteFile):  # a backend raises what its own library raises
            raise path.remote.failure(error) from error
        if isinstance(error, OSError | ValueError):  # of names that are no UTF-8, for one
            raise RecordingError(f"`{path}` is no whole Parquet file", hint=_DAMAGED) from error
        raise


def _require_size(metadata: pq.FileMetaData, path: Path | RemoteFile) -> None:
    try:
        check_limits(metadata)
    except ValueError as error:
        raise RecordingError(
            f"`{path}` asks for more than a recording holds: {error}", hint=_DAMAGED
        ) from error


def _source(path: Path | RemoteFile) -> Any:
    return path.open() if isinstance(path, RemoteFile) else pa.OSFile(os.fsencode(path), "rb")


def _check_columns(table: Table, present: set[str], path: Path | RemoteFile) -> None:
    for column in table.columns:
        if column.name not in present and not column.is_nullable:
            raise RecordingError(
                f"`{path}` is no table `{table.name}`: it lacks column `{column.name}`",
                hint=_DAMAGED,
            )


def conform_batch(
    table: Table,
    batch: pa.RecordBatch,
    path: Path | RemoteFile,
    *,
    columns: frozenset[str] | None = None,
) -> pa.RecordBatch:
    """Return *batch*, read from *path*, with exactly *table*'s schema; see `parquet_batches`."""
    arrays = []
    for column in table.columns:
        index = batch.schema.get_all_field_indices(column.name)
        if columns is not None and column.name not in columns:
            arrays.append(null_array(column, batch.num_rows))
        elif len(index) == 1:
            try:
                arrays.append(conform_array(column, batch.column(index[0])))
            except ValueError as error:
                raise RecordingError(
                    f"`{path}` is no table `{table.name}`: column `{column.name}`: {error}",
                    hint=_DAMAGED,
                ) from error
        elif not index and column.is_nullable:
            arrays.append(null_array(column, batch.num_rows))
        else:
            what = "it has two columns" if index else "it lacks column"
            raise RecordingError(f"`{path}` is no table `{table.name}`: {what} `{column.name}`")
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema())


def _group_by_group(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *file*, no batch from two of its row groups.

    Each group has its own dictionaries, and a list whose words come from two of them is more than
    Arrow can put together.
    """
    for group in range(file.num_row_groups):
        yield from file.iter_batches(
            _BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
        )


def last_rows(
    table: Table, read: Callable[[frozenset[str] | None], Iterator[pa.RecordBatch]]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that *read* yields without those that a later row of the same key replaces.

    *read* is called twice: for the key column alone, then for all. Memory is some 50 bytes a row.
    """
    key = table.key[0]
    digests = [_digests(batch.column(key)) for batch in read(frozenset((key,)))]
    if not digests:
        return
    stands = _are_last(np.concatenate(digests))
    position = 0
    for batch in read(None):
        part = stands[position : position + batch.num_rows]
        position += batch.num_rows
        yield batch if part.all() else batch.filter(pa.array(part))


def _digests(keys: pa.Array) -> np.ndarray:
    """Return 16 bytes for each key, as two integers: numbers themselves, digests of text."""
    if not pa.types.is_string(keys.type):
        numbers = keys.to_numpy(zero_copy_only=False).astype(np.uint64)
        return np.column_stack((numbers, np.zeros_like(numbers)))
    data = b"".join(
        hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys.to_pylist()
    )
    return np.frombuffer(data, np.uint64).reshape(-1, 2)


def _are_last(digests: np.ndarray) -> np.ndarray:
    """Return for each row whether no later one has its digest."""
    order = np.lexsort((digests[:, 0], digests[:, 1]))
    digests = digests[order]
    is_last = np.ones(len(order), dtype=bool)
    # The sort is stable, so that of equal digests the last one is the last row.
    is_last[:-1] = (digests[1:] != digests[:-1]).any(axis=1)
    stands = np.empty(len(order), dtype=bool)
    stands[order] = is_last
    return stands
