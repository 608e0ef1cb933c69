"""Rows as indicators see them, made from what a test cares about."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ethogram.contracts.columns import batch_of
from ethogram.contracts.flags import Access
from ethogram.contracts.tables import TABLES
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed
from tests.recordings import columns_of

CONTAINER, UNIT, UNKNOWN = 1, 2, 3
OWN_BITS = 0b1010_0000  # a container shares the host's user and time namespaces
READ, WRITE = {"access": int(Access.READ)}, {"access": int(Access.WRITE)}
APPEND = {"access": int(Access.WRITE | Access.CREATE | Access.APPEND)}
TRUNCATE = {"access": int(Access.WRITE | Access.CREATE | Access.TRUNCATE)}

_INSTANCES: list[dict[str, Any]] = [
    {
        "instance": CONTAINER,
        "runtime_id": "c" * 64,
        "runtime": "runc",
        "host_namespaces": ["user", "time"],
    },
    {
        "instance": UNIT,
        "runtime_id": "d" * 32,
        "host_namespaces": ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time"],
    },
    {"instance": UNKNOWN, "runtime_id": "e" * 64, "host_namespaces": []},
]


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    """Return *rows* of table *name*, with what they lack made up."""
    return pa.Table.from_batches([batch_of(TABLES[name], columns_of(name, list(rows)))])


def seen(name: str, *rows: dict[str, Any]) -> pa.Table:
    """Return *rows* of table *name* as indicators see them.

    A row may say its executable as `exe_path`, `exe_memfd` and `exe_upper`, and of a process what
    started it as `parent_path`. It is of a container unless it says which instance.
    """
    known: list[dict[str, Any]] = []
    processes: list[dict[str, Any]] = []
    given: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        of_process = "exec_id" in {column.name for column in TABLES[name].columns}
        row = {"instance": CONTAINER} | row  # noqa: PLW2901
        exe = _executable(known, row, "exe_path", memfd=row.pop("exe_memfd", False),
                          upper=row.pop("exe_upper", None))  # fmt: skip
        if of_process:
            row.setdefault("exec_id", f"p{number}")
            processes.append({"exec_id": row["exec_id"], "exe": exe})
        if "parent_path" in row:
            row["parent_exec_id"] = f"parent{number}"
            parent = _executable(known, row, "parent_path")
            processes.append({"exec_id": row["parent_exec_id"], "exe": parent})
        given.append(row | {"exe": exe} if name not in ("privileges", "denied") else row)
    return completed(
        table(name, *given),
        table("executables", *known),
        table("instances", *_INSTANCES),
        table("processes", *processes),
    )


def _executable(known: list[dict[str, Any]], row: dict[str, Any], column: str, **more: Any) -> int:
    known.append({"exe": len(known) + 1, "path": row.pop(column, b"/bin/true")} | more)
    return len(known)


def fires(name: str, rows: pa.Table) -> list[bool]:
    """Return which of *rows* match indicator *name*."""
    found: list[bool] = indicators()[name].matches(rows).to_pylist()
    return found


def taints(name: str, rows: pa.Table) -> list[bool]:
    """Return which of *rows* make their process suspect by indicator *name*."""
    found: list[bool] = indicators()[name].taints(rows).to_pylist()
    return found


def fires_on(name: str, kind: str, row: dict[str, Any], key: str, values: list[Any]) -> list[Any]:
    """Return those of *values* with which a *row* of table *kind* matches, as its column *key*."""
    rows = seen(kind, *(row | {key: value} for value in values))
    return [value for value, found in zip(values, fires(name, rows), strict=True) if found]


def tried(*operations: str, **more: Any) -> pa.Table:
    """Return rows of `privileges`: each operation granted, then each refused."""
    return seen(
        "privileges",
        *({"operation": name, "granted": True} | more for name in operations),
        *({"operation": name, "granted": False, "errno": 1} | more for name in operations),
    )
