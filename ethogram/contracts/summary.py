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
from ethogram.contracts.parquet_rows import parquet_batches
from ethogram.contracts.tables import SUMMARY, SUMMARY_SCHEMA
from ethogram.errors import RecordingError, UsageError

__all__ = ["SUMMARY_SUFFIX", "read_summary", "write_summary"]

SUMMARY_SUFFIX = ".summary.parquet"
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


def read_summary(path: str | Path) -> pa.Table:
    """Return the summary *path* with exactly `SUMMARY`'s schema.

    `RecordingError` where it is missing, damaged, foreign (by column) or of a newer version.
    """
    source = Path(path)
    if not source.is_file():
        what = "is not a file" if source.exists() else "does not exist"
        raise RecordingError(
            f"`{source}` {what}", hint="name a file that `ethogram summarize -o` wrote"
        )
    _check_schema(source)
    return pa.Table.from_batches(parquet_batches(SUMMARY, source), SUMMARY.arrow_schema())


def _check_schema(source: Path) -> None:
    try:
        with source.open("rb") as file:
            metadata = pq.read_metadata(file).metadata or {}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise RecordingError(
            f"`{source}` is no whole Parquet file", hint="make it again with `ethogram summarize`"
        ) from error
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
