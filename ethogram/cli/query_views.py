"""What can be asked about: tables, views and their columns, for `--views` and the docs."""

from __future__ import annotations

import json

__all__ = ["markdown", "print_views"]

VIEWS_SCHEMA = "ethogram.query-views/1"
_RECORDINGS = (
    ("recording", "u16", "number, in the order of the command line"),
    ("place", "str", "where it was read from"),
    ("recording_id", "str", "its own id"),
    ("host_id", "str", "the host's id"),
    ("boot_id", "str", "the boot's id"),
    ("cluster", "str?", "name of the cluster, where one is known"),
    ("started", "ts", "when recording began"),
    ("ended", "ts?", "when it ended; null while it goes on"),
    ("window_ms", "u32", "how long a window is"),
    ("kernel", "str", "the kernel's release"),
    ("arch", "str", "the machine's architecture"),
    ("loader", "str", "core or bcc"),
    ("is_truncated", "bool", "it ends inside a window: the recorder was killed"),
)

_Columns = list[tuple[str, str, str]]


def _all() -> dict[str, tuple[str, _Columns]]:
    from detector.hunting.events import EVENTS
    from detector.hunting.findings import FINDINGS
    from detector.hunting.views import VIEWS
    from ethogram.contracts.tables import TABLES

    found = {"recordings": ("What was asked.", list(_RECORDINGS))}
    own = [view for view in VIEWS.values() if view.name not in TABLES or view.name == "processes"]
    others = [view for view in VIEWS.values() if view not in own]
    for view in own:
        found[view.name] = (view.doc, [(one.name, one.type, one.doc) for one in view.columns])
    for table in (FINDINGS, EVENTS):
        found[table.name] = table.doc, [(one.name, one.type, one.doc) for one in table.columns]
    for view in others:
        found[view.name] = (view.doc, [(one.name, one.type, one.doc) for one in view.columns])
    return found


def print_views(*, as_json: bool) -> None:
    """Print every table and view with its columns."""
    if as_json:
        views = [
            {
                "name": name,
                "doc": doc,
                "columns": [
                    {"name": column, "type": kind, "doc": text} for column, kind, text in columns
                ],
            }
            for name, (doc, columns) in _all().items()
        ]
        print(json.dumps({"schema": VIEWS_SCHEMA, "views": views}, indent=2))
        return
    from ethogram.cli.screen import next_command

    for name, (doc, columns) in _all().items():
        print(f"{name}: {doc}")
        width = max(len(column) + len(kind) for column, kind, _ in columns) + 1
        for column, kind, text in columns:
            print(f"  {f'{column} {kind}'.ljust(width)}  {text}")
        print()
    print("`raw.TABLE` is each table just as it was recorded, with bytes as bytes.")
    next_command('ethogram query "FROM processes LIMIT 10" REC')


def markdown() -> str:
    """Return the views that are more than a table as a part of a page."""
    from detector.hunting.views import VIEWS
    from ethogram.contracts.tables import TABLES

    parts = []
    for name, (doc, columns) in _all().items():
        is_table = name in TABLES
        if is_table and name != "processes":
            continue
        known = {one.name for one in VIEWS[name].columns} if name in VIEWS else set()
        base = {"processes": "processes", "files_opened": "files", "flows": "network"}.get(name)
        own = {one.name for one in TABLES[base].columns} & known if base else set()
        parts.append(f"### {name}\n\n{doc}\n")
        if base:
            parts.append(f"It has the columns of table `{base}`, and:\n")
        parts += ["| column | type | meaning |", "|---|---|---|"]
        parts += [f"| `{one}` | `{kind}` | {text} |" for one, kind, text in columns
                  if one not in own]  # fmt: skip
        parts.append("")
    return "\n".join(parts)
