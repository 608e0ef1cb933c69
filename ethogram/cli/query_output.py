"""The answer to a query: a table, JSON, CSV or Parquet, written as it comes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from ethogram.cli.screen import count, say
from ethogram.contracts.durable import TEMPORARY_SUFFIX, create_file
from ethogram.contracts.escape import escape, printable
from ethogram.errors import UsageError

__all__ = ["QUERY_SCHEMA", "plain", "write_answer"]

QUERY_SCHEMA = "ethogram.query/1"
_PLAN = ["explain_key", "explain_value"]


def write_answer(
    reader: pa.RecordBatchReader, kind: str, output: Path | None, *, rows: int
) -> None:
    """Write what *reader* reads as *kind* to *output*, or to standard output.

    A table shows so many *rows*, 0 for all, and counts the others. A file is whole or absent.
    """
    names = _distinct(reader.schema.names)
    with _target(output) as target:
        match kind:
            case "parquet":
                _write_parquet(reader, names, target)
            case "json":
                _write_json(reader, names, _text(target))
            case "csv":
                _write_csv(reader, names, _text(target))
            case _:
                is_screen = output is None and sys.stdout.isatty()
                _write_table(reader, names, _text(target), rows=rows, is_screen=is_screen)


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    if output.exists() and not output.is_file():
        raise UsageError(f"`{output}` is no file", hint="choose another name")
    temporary = output.with_name(output.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(create_file(temporary), "wb") as file:
            yield file
        temporary.replace(output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _text(target: BinaryIO) -> _Lines:
    return _Lines(target)


class _Lines:
    """Text into a binary file that stays open."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def write(self, text: str) -> int:
        return self._target.write(text.encode("utf-8", "backslashreplace"))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return *names* with a number behind those that were there before: objects have each once."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _rows(reader: Iterable[pa.RecordBatch]) -> Iterator[list[Any]]:
    """Yield each row as values that JSON has."""
    for batch in reader:
        columns = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield [plain(value) for value in row]


def plain(value: Any) -> Any:  # noqa: PLR0911  a type a case
    """Return *value* of Arrow as JSON has it: bytes escaped, times in UTC, numbers whole."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else str(value)
        case bytes():
            return escape(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else str(value)
        case pa.MonthDayNano():
            return _interval(value)
        case list() if value and all(isinstance(one, tuple) for one in value):
            return {str(plain(name)): plain(one) for name, one in value}  # a map
        case list():
            return [plain(one) for one in value]
        case Mapping():
            return {name: plain(one) for name, one in value.items()}
    if hasattr(value, "isoformat"):
        text = str(value.isoformat())
        return f"{text.removesuffix('+00:00')}Z" if "T" in text else text
    return str(value)


def _interval(value: Any) -> str:
    parts = [
        f"{number:,} {unit}" for number, unit in ((value.months, "months"), (value.days, "days"))
        if number
    ]  # fmt: skip
    return " ".join([*parts, f"{value.nanoseconds / 1e9:g} s"])


def _write_parquet(reader: pa.RecordBatchReader, names: list[str], target: BinaryIO) -> None:
    import pyarrow.parquet as pq

    schema = pa.schema(
        [field.with_name(name) for field, name in zip(reader.schema, names, strict=True)]
    )
    try:
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise UsageError(
            f"Parquet cannot hold a column: {error}", hint="cast it, as in `CAST(x AS VARCHAR)`"
        ) from error


def _write_json(reader: pa.RecordBatchReader, names: list[str], lines: _Lines) -> None:
    columns = [
        {"name": name, "type": str(field.type)}
        for name, field in zip(names, reader.schema, strict=True)
    ]
    lines.write(f'{{"schema": "{QUERY_SCHEMA}", "columns": {json.dumps(columns)}, "rows": [')
    before = "\n"
    for row in _rows(reader):
        lines.write(before + json.dumps(dict(zip(names, row, strict=True))))
        before = ",\n"
    lines.write("\n]}\n")


def _write_csv(reader: pa.RecordBatchReader, names: list[str], lines: _Lines) -> None:
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([printable(name) for name in names])
    for row in _rows(reader):
        writer.writerow(["" if value is None else _cell(value) for value in row])


def _cell(value: Any) -> str:
    """Return *value* on one line, free of controls."""
    match value:
        case None:
            return "null"
        case str():
            return printable(value)
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return printable(json.dumps(value, ensure_ascii=False))
    return str(value)


def _write_table(
    reader: pa.RecordBatchReader, names: list[str], lines: _Lines, *, rows: int, is_screen: bool
) -> None:
    if names == _PLAN:
        _write_plan(reader, lines)
        return
    shown: list[list[str]] = []
    number = 0
    for batch in reader:
        wanted = batch.slice(0, max(0, rows - number) if rows else None)
        shown += [[_cell(value) for value in row] for row in _rows([wanted])]
        number += batch.num_rows
    heads = [printable(name) for name in names]
    widths = [max(map(len, column)) for column in zip(heads, *shown, strict=True)]
    is_number = [
        pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        or pa.types.is_decimal(field.type) for field in reader.schema
    ]  # fmt: skip
    width = shutil.get_terminal_size().columns
    if is_screen and sum(widths) + 2 * len(widths) > width:
        _write_records(heads, shown, lines)
    else:
        rule = ["-" * one for one in widths]
        for line in (heads, rule, *shown):
            cells = (
                cell.rjust(size) if right else cell.ljust(size)
                for cell, size, right in zip(line, widths, is_number, strict=True)
            )
            lines.write("  ".join(cells).rstrip() + "\n")
    if number > len(shown):
        say(f"{count(number, 'row')}, of which {len(shown):,} are shown: `--rows 0` shows all")
    else:
        say(count(number, "row"))


def _write_plan(reader: pa.RecordBatchReader, lines: _Lines) -> None:
    """Write what EXPLAIN says, a drawing of many lines."""
    for _, drawing in _rows(reader):
        for line in str(drawing).splitlines():
            lines.write(printable(line) + "\n")


def _write_records(heads: list[str], rows: list[list[str]], lines: _Lines) -> None:
    """Write each row as lines of name and value: nothing is cut where a table is too wide."""
    size = max(map(len, heads))
    for number, row in enumerate(rows, 1):
        lines.write(f"- row {number:,}\n")
        for head, cell in zip(heads, row, strict=True):
            lines.write(f"  {head.ljust(size)}  {cell}\n")
