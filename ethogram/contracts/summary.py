"""`*.summary.parquet`: the file of a summary, read and written whole."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ethogram.contracts.columns import conform_table
from ethogram.contracts.durable import replace_file
from ethogram.contracts.file_names import SUMMARY_SUFFIX
from ethogram.contracts.parquet_rows import parquet_batches, parquet_metadata
from ethogram.contracts.remote import RecordingUrl, Remote, RemoteFile, location_of
from ethogram.contracts.tables import SUMMARY, SUMMARY_SCHEMA
from ethogram.errors import RecordingError, UsageError

__all__ = ["SUMMARY_SUFFIX", "read_summary", "write_summary"]

_SCHEMA_KEY = b"ethogram.schema"
_FAMILY, _, _VERSION = SUMMARY_SCHEMA.partition("/")


def write_summary(table: pa.Table, path: str | Path, *, force: bool = False) -> None:
    """Write *table* as the summary *path*, whole or not at all; the same rows give the same bytes.

    `UsageError` where *path* exists and *force* is false, or cannot be written. `ValueError` where
    *table* is no summary.
    """
    target = Path(path)
    if target.exists() and not force:
        raise UsageError(f"`{target}` exists", hint="pass `--force` to replace it")
    rows = conform_table(SUMMARY, table)
    rows = rows.replace_schema_metadata({**rows.schema.metadata, _SCHEMA_KEY: SUMMARY_SCHEMA})
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    try:
        replace_file(target, sink.getvalue())
    except OSError as error:
        raise UsageError(
            f"`{target}` cannot be written: {os.strerror(error.errno or 0)}",
            hint="name another place",
        ) from error


def read_summary(path: str | Path | RecordingUrl) -> pa.Table:
    """Return the summary *path* with exactly `SUMMARY`'s schema.

    `RecordingError` where it is missing, damaged, foreign (by column) or of a newer version.
    """
    source = _source_of(path)
    _check_schema(source)
    return pa.Table.from_batches(parquet_batches(SUMMARY, source), SUMMARY.arrow_schema())


def _source_of(path: str | Path | RecordingUrl) -> Path | RemoteFile:
    place = location_of(path) if isinstance(path, str) else path
    if isinstance(place, RecordingUrl):
        directory, _, name = place.given.rpartition("/")
        return RemoteFile(Remote(RecordingUrl(directory)), name)
    if not place.is_file():
        what = "is not a file" if place.exists() else "does not exist"
        raise RecordingError(
            f"`{place}` {what}", hint="name a file that `ethogram summarize -o` wrote"
        )
    return place


def _check_schema(source: Path | RemoteFile) -> None:
    metadata = parquet_metadata(source, is_listed=False).metadata or {}
    schema = metadata.get(_SCHEMA_KEY, b"")[:64].decode("ascii", "replace")
    match = re.fullmatch(rf"{re.escape(_FAMILY)}/([0-9]{{1,6}})", schema)
    if match is None:
        raise RecordingError(
            f"`{source}` is no summary", hint="make one with `ethogram summarize RECORDING -o FILE`"
        )
    if int(match[1]) > int(_VERSION):
        raise RecordingError(
            f"`{source}` was made by a newer ethogram: its schema is `{match[0]}`, this version "
            f"reads `{SUMMARY_SCHEMA}`",
            hint="upgrade ethogram",
        )
