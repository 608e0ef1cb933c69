"""What the rows of a window show, as keys to count: the values of a baseline, a little finer.

The recorder's rows come as columns of lists and arrays, before any of them is a table. A key that
is finer than a rule (an address that an inventory would name) makes a workload look less settled
than it is, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ethogram.contracts.columns import Values
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.tables import ENUMS
from learner.dimensions import one_bit_a_letter

__all__ = ["FILES", "TABLES", "Columns", "Sight", "as_lists", "sights"]

# The dimension, then what tells values of it apart.
Sight: TypeAlias = "tuple[Any, ...]"
Columns: TypeAlias = "Mapping[str, Values]"
FILES = "files"
_FORKED = int(ProcessFlag.FORKED)


def sights(table: str, columns: Columns, *, since_ns: int = 0) -> Iterator[tuple[int, int, Sight]]:
    """Yield workload, code of the phase and key of each row of *table* that shows something.

    The row of a process is written again when it ends: one that began before *since_ns* is old.
    """
    lists = as_lists(columns)
    if table == "processes":
        lists["since"] = [since_ns] * len(lists["exe"])
    phases = (_code("phase", phase) for phase in lists["phase"])
    for workload, phase, sight in zip(lists["workload"], phases, TABLES[table](lists), strict=True):
        if sight is not None:
            yield workload, phase, sight


def as_lists(columns: Columns) -> dict[str, list[Any]]:
    """Return *columns* as plain lists."""
    return {
        name: values.tolist() if isinstance(values, np.ndarray) else list(values)
        for name, values in columns.items()
    }


def _code(enum: str, value: int | str) -> int:
    return ENUMS[enum].index(value) if isinstance(value, str) else int(value)


def _syscalls(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    for arch, nr in zip(lists["arch"], lists["nr"], strict=True):
        yield ("syscalls", arch, nr)


def _execs(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    failed = lists.get("errno") or [None] * len(lists["exe"])
    columns = (lists[name] for name in ("exe", "flags", "start", "since"))
    for exe, flags, start, since, errno in zip(*columns, failed, strict=True):
        yield None if flags & _FORKED or errno or start < since else ("execs", exe)


def _files(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    bits = one_bit_a_letter(np.array(lists["access"], np.uint16)).tolist()
    for path, access, errno in zip(lists["path"], bits, lists["errno"], strict=True):
        yield None if errno or not path else (FILES, path, access)


def _network(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    nothing = [None] * len(lists["direction"])
    names = ("family", "type", "protocol", "local_addr", "peer_addr", "local_port", "peer_port",
             "unix_path")  # fmt: skip
    columns = [lists.get(name) or nothing for name in names]
    for given, *rest in zip(lists["direction"], *columns, strict=True):
        family, kind, protocol, local, peer, local_port, peer_port, path = rest
        direction = ENUMS["direction"][_code("direction", given)]
        socket = (direction, family, kind, protocol, path)
        match direction:
            case "out":
                yield ("peers", *socket, peer, peer_port)
            case "in":
                yield ("peers", *socket, peer, local_port)
            case _:
                yield ("listens", *socket, local, local_port)


def _dns(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    for name in lists["qname"]:
        yield ("dns", name)


def _privileges(lists: dict[str, list[Any]]) -> Iterator[Sight | None]:
    names = ("operation", "capability", "target", "granted")
    for given, capability, target, granted in zip(*(lists[name] for name in names), strict=True):
        operation = ENUMS["operation"][_code("operation", given)]
        # Mail and lock files are linked under ever new names: that it links is the behaviour.
        what = None if operation == "link" else target
        yield ("operations", operation, capability, what) if granted else None


TABLES: Mapping[str, Callable[[dict[str, list[Any]]], Iterator[Sight | None]]] = MappingProxyType(
    {
        "syscalls": _syscalls,
        "processes": _execs,
        "files": _files,
        "network": _network,
        "dns": _dns,
        "privileges": _privileges,
    }
)
