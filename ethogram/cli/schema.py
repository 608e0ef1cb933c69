"""`ethogram schema`: what the columns of a recording mean."""

from __future__ import annotations

import json
from typing import Any

import click

from ethogram.cli.options import format_option

__all__ = ["DOCUMENTS", "command", "markdown"]

DOCUMENTS = ("finding", "event")


@click.command("schema", short_help="Print the schema of tables, findings and events.")
@click.argument("table", required=False)
@format_option("text", "json", "markdown")
def command(table: str | None, output_format: str) -> None:
    """Print the schema of TABLE, or of every table of recordings and summaries.

    It is the very declaration that readers and writers use. `finding` and `event` are the lines
    that `ethogram watch` prints: as JSON, it is JSON Schema.
    """
    if table in DOCUMENTS:
        from ethogram.cli.schema_documents import print_document

        print_document(table, output_format)
        return
    from ethogram.contracts.tables import SUMMARY, TABLES

    tables = {**TABLES, SUMMARY.name: SUMMARY}
    if table is not None:
        tables = {table: tables[table]} if table in tables else _no_such_table(table, [*tables])
    match output_format:
        case "json":
            print(json.dumps(_document(tables), indent=2))
        case "markdown":
            print(markdown(tables), end="")
        case _:
            _print_text(tables, is_whole=table is None)


def markdown(tables: dict[str, Any]) -> str:
    """Return the schema of *tables* as a page of Markdown."""
    parts = []
    for table in tables.values():
        parts += [f"### {table.name}\n", f"{table.doc}\n"]
        if table.key:
            parts.append(f"One row for each `{'`, `'.join(table.key)}`.\n")
        parts += ["| column | type | meaning |", "|---|---|---|"]
        parts += [f"| `{c.name}` | `{c.type}` | {c.doc} |" for c in table.columns]
        parts.append("")
    return "\n".join(parts)


def _document(tables: dict[str, Any]) -> dict[str, Any]:
    from ethogram.contracts.tables import ENUMS, RECORDING_SCHEMA, SUMMARY_SCHEMA

    return {
        "schema": "ethogram.schema/1",
        "describes": [RECORDING_SCHEMA, SUMMARY_SCHEMA],
        "tables": [
            {
                "name": table.name,
                "doc": table.doc,
                "key": list(table.key),
                "columns": [
                    {"name": c.name, "type": c.word, "nullable": c.is_nullable, "doc": c.doc}
                    for c in table.columns
                ],
            }
            for table in tables.values()
        ],
        "enums": {name: list(members) for name, members in ENUMS.items()},
    }


def _print_text(tables: dict[str, Any], *, is_whole: bool) -> None:
    from rich import box
    from rich.table import Table

    from ethogram.cli.screen import next_command, output

    console = output()
    for table in tables.values():
        grid = Table(box=box.SIMPLE_HEAD, title=f"{table.name}: {table.doc}", title_justify="left")
        grid.add_column("column", no_wrap=True)
        grid.add_column("type", no_wrap=True)
        grid.add_column("meaning")
        for column in table.columns:
            name = f"{column.name} *" if column.name in table.key else column.name
            grid.add_row(name, column.type, column.doc)
        console.print(grid)
    console.print("* part of the table's key; a type with `?` may be null: not known")
    if is_whole:
        next_command("ethogram schema files", why="one table alone")


def _no_such_table(table: str, names: list[str]) -> dict[str, Any]:
    from ethogram.cli.group import closest
    from ethogram.errors import UsageError

    guess = closest(table, [*names, *DOCUMENTS])
    raise UsageError(
        f"there is no table `{table}`",
        hint=f"did you mean `{guess}`?"
        if guess
        else f"the tables are {', '.join(names)}; lines of `watch` are {' and '.join(DOCUMENTS)}",
    )
