"""Builds recordings for tests, through the writer that the recorder uses.

`make_recording` takes rows as dictionaries and fills in what a test does not care about;
`shop_recording` is a small shop in staging: an nginx with two replicas and its load generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ethogram.contracts.manifest import Clock, Manifest, Program, Redaction
from ethogram.contracts.tables import ENUMS, TABLES, Column
from profiler.journal import Journal
from tests.shop import SHOP_TABLES, START_NS, WINDOW_NS

__all__ = [
    "START_NS",
    "WINDOW_NS",
    "columns_of",
    "make_manifest",
    "make_recording",
    "shop_recording",
    "write_windows",
]

_USUAL: Mapping[str, str] = {"phase": "steady", "in_image": "unknown"}
_DEFAULTS: Mapping[str, Any] = {"bool": False, "str": "", "bytes": b"", "map": {}, "ports": []}


def make_manifest(**fields: Any) -> Manifest:
    """Return a manifest of a recorder that runs; *fields* replace what is made up."""
    made_up: dict[str, Any] = {
        "recording_id": "01J0000000000000000000TEST",
        "host_id": "5f2d0c9a7c1b4c7e9d53a1f0e6b7c8d9",
        "boot_id": "0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f",
        "started": datetime.fromtimestamp(START_NS // 10**9, UTC),
        "window_ms": WINDOW_NS // 10**6,
        "kernel": "6.1.0-18-amd64",
        "arch": "x86_64",
        "loader": "core",
        "clock": Clock(utc_offset_ns=START_NS - 10**12, source="boottime"),
        "redaction": Redaction(rules=("secret_argument",)),
        "programs": (
            Program(name="syscall_enter", hook="tp_btf/sys_enter", tier="full", state="attached"),
        ),
    }
    return Manifest.model_validate(made_up | fields)


def make_recording(
    path: Path,
    *,
    manifest: Mapping[str, Any] | None = None,
    is_closed: bool = True,
    **tables: Iterable[Mapping[str, Any]],
) -> Path:
    """Write a recording of *tables* at *path* and return *path*.

    Columns that a row lacks are null where they may be, and else zero, empty, or the first member
    of the enum (`steady` for a phase, `unknown` for `in_image`, the beginning of the window for a
    time). Table `windows` is made to fit unless it is given. With *is_closed* false it is left as a
    killed recorder would.
    """
    rows = {name: [dict(row) for row in given] for name, given in tables.items()}
    fields = dict(manifest or {})
    ended = fields.pop("ended", datetime.fromtimestamp(START_NS // 10**9 + 60, UTC))
    clean_end = fields.pop("clean_end", True)
    rows.setdefault("windows", _windows(rows))
    journal = Journal.create(path, make_manifest(**fields))
    write_windows(journal, rows)
    if is_closed:
        journal.close(ended=ended, clean_end=clean_end)
    else:
        journal.abandon()
    return path


def write_windows(journal: Journal, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Append *tables* to *journal* window by window; rows without a window go into the first."""
    numbers = sorted({row.get("window", 0) for rows in tables.values() for row in rows} or {0})
    for number in numbers:
        for name, rows in tables.items():
            part = [row for row in rows if row.get("window", 0) == number]
            if part:
                journal.append(name, columns_of(name, part))
        journal.flush()


def columns_of(table: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return *rows* as columns, with what they lack made up."""
    known = TABLES[table].columns
    names = {column.name for column in known}
    for row in rows:
        if unknown := set(row) - names:
            raise ValueError(f"table `{table}` has no column `{min(unknown)}`")
    return {
        column.name: [row.get(column.name, _default(column, row)) for row in rows]
        for column in known
    }


def _default(column: Column, row: Mapping[str, Any]) -> Any:
    if column.is_nullable:
        return None
    kind, _, rest = column.word.partition(":")
    match kind:
        case "enum":
            return _USUAL.get(rest, ENUMS[rest][0])
        case "fixed":
            return bytes(int(rest))
        case "list":
            return []
        case "ts":
            return START_NS + row.get("window", 0) * WINDOW_NS
    return _DEFAULTS.get(kind, 0)


def _windows(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    last = max((row.get("window", 0) for part in rows.values() for row in part), default=0)
    return [
        {
            "window": number,
            "start": START_NS + number * WINDOW_NS,
            "end": START_NS + (number + 1) * WINDOW_NS,
        }
        for number in range(last + 1)
    ]


def shop_recording(path: Path, **manifest: Any) -> Path:
    """Write the recording of the shop at *path* and return *path*.

    Eight windows. `shop-staging/Deployment/checkout` (container nginx, two instances) starts,
    serves, is entered by a shell in window 4 and stops in window 7;
    `shop-staging/Deployment/loadgen` (container curl) sends requests from window 1 to 6.
    """
    tables: dict[str, Any] = dict(SHOP_TABLES)
    return make_recording(path, manifest=manifest, **tables)
