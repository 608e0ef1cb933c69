"""Lines of JSON in files that others may have written to, and what they say."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ethogram.contracts.arrow import arrow_type
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.tables import Table
from ethogram.errors import RecordingError

__all__ = ["LONGEST_LINE", "lines_of", "opened", "schema_of", "subject", "text", "texts", "time"]

LONGEST_LINE = 1 << 20
_GZIP = b"\x1f\x8b"


def schema_of(table: Table) -> pa.Schema:
    """Return the Arrow schema of *table*, one of lines."""
    return pa.schema(
        [
            (one.name, pa.float64() if one.word == "double" else arrow_type(one.word))
            for one in table.columns
        ]
    )


def opened(path: Path) -> Any:
    file = open_plain(path)
    head = file.read(len(_GZIP))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if head == _GZIP else file


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with opened(path) as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise RecordingError(f"`{path}`, line {number}: longer than 1 MiB")
                # What is being written has no line end yet.
                if line.endswith(b"\n") and line.strip():
                    yield number, line
    except (OSError, EOFError) as error:
        raise RecordingError(f"`{path}` cannot be read after line {number}: {error}") from error


def subject(workload: Mapping[str, Any]) -> str:
    names = (workload.get(name) for name in ("cluster", "namespace", "kind", "name"))
    words = "/".join(texts(name for name in names if name is not None))
    container = workload.get("container")
    return words if container is None else f"{words} ({texts([container])[0]})"


def text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is no text")


def texts(values: Iterable[object]) -> list[str]:
    found = list(values)
    if all(isinstance(one, str) for one in found):
        return found  # type: ignore[return-value]
    raise TypeError(f"{found!r} are no texts")


def time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
