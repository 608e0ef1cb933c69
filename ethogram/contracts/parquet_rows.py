"""The rows of one Parquet file, with exactly the schema of their table; refused by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ethogram.contracts.columns import conform_array, null_array
from ethogram.contracts.parquet_limits import check_limits, repeating_columns
from ethogram.contracts.remote import RemoteFile
from ethogram.contracts.tables import Table
from ethogram.errors import RecordingError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = [
    "DAMAGED",
    "RUNNING",
    "conform_batch",
    "missing_file",
    "parquet_batches",
    "parquet_metadata",
]

_BATCH_ROWS = 1 << 16
DAMAGED = "the file is damaged or foreign: restore it, or record again"
RUNNING = "where it is still being recorded, files are replaced: run it again; else restore it"


def parquet_batches(
    table: Table,
    path: Path | RemoteFile,
    *,
    rows: int | None = None,
    columns: frozenset[str] | None = None,
    groups: Sequence[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of Parquet file *path* with exactly *table*'s schema.

    Columns that *table* lacks are ignored, nullable ones that the file lacks are null. Only
    *columns* are read where given, and the others are null; of row groups only *groups*.
    `RecordingError` names file and column.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  a recorder needs it only when it ends

    with _readable(path, is_listed=rows is not None), _source(path) as source:
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
                hint=DAMAGED,
            )
        present = set(file.schema_arrow.names)
        wanted = [
            column.name
            for column in table.columns
            if column.name in present and (columns is None or column.name in columns)
        ]
        _check_columns(table, present, path)
        for batch in _group_by_group(file, wanted, groups):
            yield conform_batch(table, batch, path, columns=columns)


def parquet_metadata(path: Path | RemoteFile, *, is_listed: bool = True) -> pq.FileMetaData:
    """Return what Parquet file *path* says of itself; *is_listed* where a manifest names it."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with _readable(path, is_listed=is_listed), _source(path) as source:
        metadata = pq.read_metadata(source)
        _require_size(metadata, path)
        return metadata


@contextmanager
def _readable(path: Path | RemoteFile, *, is_listed: bool) -> Iterator[None]:
    """Say by name what is wrong with *path*."""
    try:
        yield
    except RecordingError:
        raise
    except pa.ArrowException as error:
        raise RecordingError(f"`{path}` is no whole Parquet file", hint=DAMAGED) from error
    except Exception as error:
        if isinstance(error, FileNotFoundError) and is_listed:
            raise missing_file(path) from error
        if isinstance(path, RemoteFile):  # a backend raises what its own library raises
            raise path.remote.failure(error) from error
        if isinstance(error, OSError | ValueError):  # of names that are no UTF-8, for one
            raise RecordingError(f"`{path}` is no whole Parquet file", hint=DAMAGED) from error
        raise


def _require_size(metadata: pq.FileMetaData, path: Path | RemoteFile) -> None:
    try:
        check_limits(metadata)
    except ValueError as error:
        raise RecordingError(
            f"`{path}` asks for more than a recording holds: {error}", hint=DAMAGED
        ) from error


def _source(path: Path | RemoteFile) -> Any:
    return path.open() if isinstance(path, RemoteFile) else pa.OSFile(os.fsencode(path), "rb")


def _check_columns(table: Table, present: set[str], path: Path | RemoteFile) -> None:
    for column in table.columns:
        if column.name not in present and not column.is_nullable:
            raise RecordingError(
                f"`{path}` is no table `{table.name}`: it lacks column `{column.name}`",
                hint=DAMAGED,
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
                    hint=DAMAGED,
                ) from error
        elif not index and column.is_nullable:
            arrays.append(null_array(column, batch.num_rows))
        else:
            what = "it has two columns" if index else "it lacks column"
            raise RecordingError(f"`{path}` is no table `{table.name}`: {what} `{column.name}`")
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema())


def _group_by_group(
    file: pq.ParquetFile, columns: list[str], groups: Sequence[int] | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of *file*, of these *groups* where given, no batch from two row groups.

    Each group has its own dictionaries, and a list whose words come from two of them is more than
    Arrow can put together.
    """
    for group in range(file.num_row_groups) if groups is None else groups:
        yield from file.iter_batches(
            _BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
        )


def missing_file(path: Path | RemoteFile) -> RecordingError:
    return RecordingError(f"`{path}` is missing: the manifest lists it", hint=RUNNING)
