"""Reads a recording: journal and Parquet alike, one batch at a time, and refuses by name."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa

from ethogram.contracts.arrow import find_pandas
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
from ethogram.contracts.parquet_rows import (
    DAMAGED,
    RUNNING,
    conform_batch,
    missing_file,
    parquet_batches,
)
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.remote import RecordingUrl, Remote, RemoteFile, location_of
from ethogram.contracts.tables import TABLES, Table
from ethogram.errors import RecordingError

__all__ = ["Part", "Recording", "last_rows"]

_ATTEMPTS = 5  # to read what a recorder replaces meanwhile


@dataclass(frozen=True, slots=True)
class Part:
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
        parts: dict[str, list[Part]],
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
        parts: dict[str, list[Part]] = {name: [] for name in TABLES}
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
        parts: dict[str, list[Part]] = {name: [] for name in TABLES}
        for listed in manifest.files:
            file = RemoteFile(remote, listed.path)
            if listed.path not in sizes:
                raise missing_file(file)
            _check_size(file, listed, sizes[listed.path])
            if listed.table in parts:
                parts[listed.table].append(Part(file, listed=listed))
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

    @property
    def extent(self) -> int:
        """How many batches its journal held when it was opened: a recorder may be adding more."""
        return sum(
            part.extent.batches for parts in self._parts.values() for part in parts if part.extent
        )

    @property
    def rows(self) -> int:
        """How many rows its Parquet files have; what is in a journal still is not counted."""
        return sum(
            part.listed.rows for parts in self._parts.values() for part in parts if part.listed
        )

    def parts(self, name: str) -> Sequence[Part]:
        """Return the files of table *name*, in the order of their rows."""
        return tuple(self._parts[name])

    def part_batches(
        self,
        name: str,
        number: int,
        *,
        groups: Sequence[int] | None = None,
        columns: frozenset[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one of `parts`, of these row *groups* alone; see `parquet_batches`.

        Rows that a later one replaces are among them, and the digest is for `verify_part`.
        """
        table, part = TABLES[name], self._parts[name][number]
        if part.extent is not None:
            assert isinstance(part.path, Path)
            yield from _stream_batches(table, part.path, part.extent)
        elif part.listed is not None:
            yield from parquet_batches(
                table, part.path, rows=part.listed.rows, columns=columns, groups=groups
            )

    def verify_part(self, name: str, number: int) -> None:
        """Compare one of `parts` with its digest, once, where it is a file here.

        A bit that turned in a page may still be a value, and a wrong one. What is elsewhere would
        be fetched twice: `verify` does it when asked.
        """
        part = self._parts[name][number]
        if part.listed is None or not isinstance(part.path, Path):
            return
        if part.listed.path not in self._verified:
            _check_digest(part.path, part.listed)
            self._verified.add(part.listed.path)

    def _raw_batches(
        self, table: Table, columns: frozenset[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        for number in range(len(self._parts[table.name])):
            self.verify_part(table.name, number)
            yield from self.part_batches(table.name, number, columns=columns)


def _check_digest(path: Path | RemoteFile, listed: DataFile) -> None:
    if _digest(path) != listed.sha256:
        raise RecordingError(
            f"`{path}` is not what was recorded: its sha256 differs from the manifest's",
            hint=DAMAGED,
        )


def _parquet_part(directory: Path, listed: DataFile) -> Part:
    path = directory / listed.path
    try:
        status = path.lstat()
    except OSError as error:
        raise missing_file(path) from error
    inside = path.resolve().is_relative_to(directory.resolve())
    if not stat.S_ISREG(status.st_mode) or not inside:
        raise RecordingError(f"`{path}` is not a file of this recording: links are not followed")
    _check_size(path, listed, status.st_size)
    return Part(path, listed=listed)


def _check_size(path: Path | RemoteFile, listed: DataFile, size: int | None) -> None:
    if None not in (size, listed.size_bytes) and size != listed.size_bytes:
        raise RecordingError(
            f"`{path}` has {size} bytes, the manifest says {listed.size_bytes}", hint=DAMAGED
        )


def _same_files(before: bytes, now: bytes, directory: Path) -> bool:
    """Say whether both manifests list the same: if not, parts were replaced meanwhile."""
    if before == now:
        return True
    one, other = (parse_manifest(data, directory).files for data in (before, now))
    return one == other


def _digest(path: Path | RemoteFile) -> str:
    try:
        with open_plain(path) if isinstance(path, Path) else path.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            raise missing_file(path) from error
        if isinstance(path, RemoteFile):
            raise path.remote.failure(error) from error
        if isinstance(error, OSError):
            raise RecordingError(f"`{path}` cannot be read: {error.strerror}") from error
        raise


def _journal_parts(directory: Path, listed: set[str]) -> Iterator[tuple[str, Part]]:
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
            yield table, Part(path, extent=scan_stream(path))
        except (OSError, ValueError) as error:
            raise RecordingError(f"`{path}` is no journal: {error}", hint=DAMAGED) from error


def _stream_batches(table: Table, path: Path, extent: StreamExtent) -> Iterator[pa.RecordBatch]:
    stream = read_stream(path, extent.batches)
    while True:
        try:
            batch = next(stream, None)
        except FileNotFoundError as error:
            raise RecordingError(f"`{path}` is gone: it was replaced", hint=RUNNING) from error
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"`{path}` cannot be read", hint=DAMAGED) from error
        if batch is None:
            return
        yield conform_batch(table, batch, path)


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
