"""From what a window drained to the columns of its tables: batches all the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ethogram.contracts.events import ARCHES, EventFlag
from ethogram.contracts.syscall_names import name_of
from profiler.clock import BootClock
from profiler.counted_operations import operation_and_target
from profiler.file_paths import PathRecords
from profiler.processes import ExecIds, Executables
from profiler.ring import Records

__all__ = [
    "denied_columns",
    "errors_columns",
    "files_columns",
    "loss_columns",
    "ngrams_columns",
    "operations_columns",
    "privileges_columns",
    "syscalls_columns",
    "times_of",
]

Columns = dict[str, Any]
_GRAM_SHIFTS = np.arange(50, -10, -10, dtype=np.uint64)  # oldest first
_GRAM_NONE, _GRAM_OTHER, _ARCH_SHIFT = 1023, 1022, 60


def times_of(values: np.ndarray, clock: BootClock) -> tuple[np.ndarray, np.ndarray]:
    """Return when what is counted was first and last seen, in nanoseconds UTC."""
    offset = np.int64(clock.utc_offset_ns)
    return values["first_ns"].astype(np.int64) + offset, values["last_ns"].astype(np.int64) + offset


def syscalls_columns(calls: np.ndarray) -> Columns:
    """Return columns of `syscalls` for an array of dtype `CALLS`."""
    pairs, inverse = np.unique(calls[["arch", "nr"]], return_inverse=True)
    names = [name_of(ARCHES[int(pair["arch"])], int(pair["nr"])) for pair in pairs]
    return {
        "arch": calls["arch"].astype(np.uint8),
        "nr": calls["nr"],
        "name": [names[index] for index in inverse],
        "calls": calls["calls"],
    }


def errors_columns(keys: np.ndarray, values: np.ndarray) -> Columns:
    """Return columns of `errors`."""
    arch = keys["arch"].astype(np.uint8)
    return {"arch": arch, "nr": keys["nr"], "errno": keys["errnum"], "calls": values}


def denied_columns(keys: np.ndarray, values: np.ndarray, ids: ExecIds) -> Columns:
    """Return columns of `denied`."""
    return {
        "exec_id": [ids.maybe(int(key)) for key in keys["exec_key"]],
        "arch": keys["arch"].astype(np.uint8),
        "nr": keys["nr"],
        "action": keys["action"].astype(np.uint8),
        "errno": [int(key["errnum"]) if key["has_errno"] else None for key in keys],
        "calls": values,
    }


def ngrams_columns(keys: np.ndarray) -> Columns:
    """Return columns of `ngrams`: six u16 of each packed gram, oldest first."""
    gram = keys["gram"]
    six = (gram[:, None] >> _GRAM_SHIFTS) & np.uint64(1023)
    wide = six.astype(np.uint16)
    wide[six == _GRAM_NONE] = 65535
    wide[six == _GRAM_OTHER] = 65534
    return {
        "arch": (gram >> np.uint64(_ARCH_SHIFT)).astype(np.uint8),
        "gram": np.ascontiguousarray(wide).view("V12").reshape(-1),
        "calls": [None] * len(keys),
    }


def files_columns(
    keys: np.ndarray,
    values: np.ndarray,
    batches: list[Records],
    executables: Executables,
    clock: BootClock,
) -> tuple[np.ndarray, Columns]:
    """Return the keys that have a path, and columns of `files` for them.

    A key without one lost its record, which the kernel side has counted.
    """
    paths = PathRecords(batches).of(keys)
    kept = np.array([path is not None for path in paths], bool)
    keys, values = keys[kept], values[kept]
    known = [path for path in paths if path is not None]
    first, last = times_of(values, clock)
    flags = np.array([path.flags for path in known], np.uint32)
    racy = np.where(flags & EventFlag.PATH_RACY, np.uint16(256), np.uint16(0))
    columns = {
        "exe": executables.numbers_of(keys["exe_key"]),
        "path": [path.path for path in known],
        "asked": [path.asked for path in known],
        "dev": keys["dev"],
        "ino": keys["ino"],
        "access": keys["access"] | racy,
        "errno": [int(number) or None for number in keys["errnum"]],
        "calls": values["calls"],
        "in_image": [_in_image(int(flag)) for flag in flags],
        "truncated": (flags & EventFlag.PATH_TRUNCATED) != 0,
        "first": first,
        "last": last,
    }
    return keys, columns


def _in_image(flags: int) -> str:
    if not flags & EventFlag.OVERLAY:
        return "unknown"
    return "no" if flags & EventFlag.UPPER_LAYER else "yes"


def privileges_columns(keys: np.ndarray, values: np.ndarray, ids: ExecIds) -> Columns:
    """Return columns of `privileges` for capabilities and for operations that are counted.

    A request of a ring is granted when it is submitted: what comes of it, the other tables tell.
    """
    granted = keys["granted"] != 0
    numbers = keys["capability"].tolist()
    named = [operation_and_target(number) for number in numbers]
    return {
        "exec_id": [ids.of(int(key)) for key in keys["exec_key"]],
        "operation": [operation for operation, _ in named],
        "capability": [
            number if operation == "capability" else None
            for number, (operation, _) in zip(numbers, named, strict=True)
        ],
        "target": [target for _, target in named],
        "granted": granted,
        "errno": [None if ok else 1 for ok in granted],  # EPERM is the only refusal there is
        "untrusted_arg": np.zeros(len(keys), bool),
        "calls": values,
    }


def operations_columns(
    batches: list[Records], ids: ExecIds
) -> tuple[np.ndarray, np.ndarray, Columns]:
    """Return slots, windows and columns of `privileges` for privileged calls, counted."""
    counted: dict[tuple[Any, ...], int] = {}
    for batch in batches:
        for head, tail in zip(batch.heads, batch.tails, strict=True):
            granted = bool(int(head["flags"]) & EventFlag.GRANTED)
            row = (
                int(head["slot"]), int(head["window"]), int(head["exec_key"]),
                int(head["operation"]), tail[: int(head["target_size"])], granted,
                int(head["errnum"]),
            )  # fmt: skip
            counted[row] = counted.get(row, 0) + 1
    rows = list(counted)
    columns = {
        "exec_id": [ids.of(row[2]) for row in rows],
        "operation": np.array([row[3] for row in rows], np.uint8),
        "capability": [None] * len(rows),
        "target": [row[4] or None for row in rows],
        "granted": [row[5] for row in rows],
        "errno": [row[6] or None for row in rows],
        "untrusted_arg": [bool(row[4]) for row in rows],
        "calls": np.array(list(counted.values()), np.uint64),
    }
    slots = np.array([row[0] for row in rows], np.uint32)
    return slots, np.array([row[1] for row in rows], np.uint32), columns


def loss_columns(
    window: int, lost: Mapping[tuple[int | None, int | None, str, str], int]
) -> Columns:
    """Return columns of `losses` for counts by (workload, instance, kind, place)."""
    rows = list(lost)
    return {
        "window": np.full(len(rows), window, np.uint32),
        "workload": [row[0] for row in rows],
        "instance": [row[1] for row in rows],
        "kind": [row[2] for row in rows],
        "place": [row[3] for row in rows],
        "count": np.array(list(lost.values()), np.uint64),
    }
