"""What was measured, as values; shown as text for a screen, Markdown for a document, or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Column", "Part", "Table", "Target", "as_json", "as_markdown", "as_text", "replaced"]

Unit = Literal[
    "text", "seconds", "ratio", "count", "rate", "share", "fine", "number", "points", "bytes"
]
Value = str | float | int | None
_ALIGNED = {True: "---", False: "---:"}
_SIZES = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values of one *unit*; None in it is shown as a dash."""

    name: str
    unit: Unit = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under *columns*, the first of which names the row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be reached: *value* at most *limit*. None where it could not be measured."""

    name: str
    value: float | None
    limit: float
    unit: Unit

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        return "reached" if self.value <= self.limit else "not reached"


@dataclass(slots=True)
class Part:
    """One part of the suite: its tables, what was to be reached, and what to know about them."""

    name: str
    title: str
    how: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# --- values ----------------------------------------------------------------------------------


def shown(value: Value, unit: Unit) -> str:
    """Return *value* as a reader of a table wants it."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    match unit:
        case "seconds":
            return duration(value)
        case "ratio":
            return f"{value:.2f} x"
        case "share":
            return f"{value:.1%}"
        case "fine":
            return f"{value:.2%}"
        case "number":
            return f"{value:.2f}"
        case "points":
            return f"{value * 100:.1f}"
        case "bytes":
            return size(value)
        case "rate" | "count" | "text":
            return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Return *seconds* with three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def size(count: float) -> str:
    """Return *count* bytes with three digits and a unit."""
    for unit, scale in _SIZES:
        if count >= scale:
            number = count / scale
            return f"{number:,.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    return f"{count:.0f} B"


def _cells(table: Table) -> list[list[str]]:
    head = [column.name for column in table.columns]
    body = [
        [shown(value, column.unit) for value, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    return [head, *body]


def _verdicts(targets: Sequence[Target]) -> Table:
    columns = tuple(Column(name) for name in ("to reach", "at most", "measured", ""))
    rows = tuple(
        (
            target.name,
            shown(target.limit, target.unit),
            shown(target.value, target.unit),
            target.verdict,
        )
        for target in targets
    )
    return Table(columns, rows)


def _all_tables(part: Part) -> Iterable[Table]:
    yield from part.tables
    if part.targets:
        yield _verdicts(part.targets)


# --- shapes ----------------------------------------------------------------------------------


def as_text(part: Part) -> str:
    """Return *part* for a screen: columns under each other."""
    lines = [part.title, f"({part.how})", ""]
    for table in _all_tables(part):
        if table.title:
            lines += [f"  {table.title}:"]
        cells = _cells(table)
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            rest = "".join(
                f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)
            )
            lines.append(f"  {row[0]:{widths[0]}}{rest}".rstrip())
        lines.append("")
    for note in part.notes:
        lines += [f"note: {note}", ""]
    return "\n".join(lines)


def as_markdown(part: Part) -> str:
    """Return *part* as a block of a document, without its heading, which is the document's."""
    blocks = [f"({part.how}.)"]
    for table in _all_tables(part):
        head, *body = ([cell.replace("|", "\\|") for cell in row] for row in _cells(table))
        lines = [head, [_ALIGNED[column.unit == "text"] for column in table.columns], *body]
        text = "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
        blocks.append(f"{table.title}:\n\n{text}" if table.title else text)
    if part.notes:
        blocks.append("\n".join(f"- {note}" for note in part.notes))
    return "\n\n".join(blocks)


def as_json(parts: Sequence[Part], facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the document of everything: seconds, bytes, shares and counts, not rounded."""
    return {
        "schema": "ethogram.benchmarks/1",
        "machine": dict(facts),
        "parts": [
            {
                "name": part.name,
                "title": part.title,
                "how": part.how,
                "tables": [
                    {
                        "title": table.title,
                        "columns": [{"name": c.name, "unit": c.unit} for c in table.columns],
                        "rows": [list(row) for row in table.rows],
                    }
                    for table in part.tables
                ],
                "targets": [
                    {
                        "name": target.name,
                        "unit": target.unit,
                        "limit": target.limit,
                        "value": target.value,
                        "verdict": target.verdict,
                    }
                    for target in part.targets
                ],
                "notes": part.notes,
            }
            for part in parts
        ],
    }


def replaced(document: str, blocks: Mapping[str, str]) -> str:
    """Return *document* with new text between the markers of each of *blocks*.

    A block stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`, each on a line of its
    own. What is outside stays as it is. `KeyError` for a block that the document has no place for.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        pattern = re.compile(f"^{begin}$.*?^{end}$", re.DOTALL | re.MULTILINE)
        block = f"{begin}\n{text}\n{end}"
        document, count = pattern.subn(lambda _, block=block: block, document)
        if count != 1:
            raise KeyError(name)
    return document
