"""What the recorder makes of records and sets, whatever is in them: rows, as many as there were."""

from __future__ import annotations

import platform
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np

from ethogram.contracts.columns import batch_of
from ethogram.contracts.events import STRUCTS, RecordKind
from ethogram.contracts.syscall_names import number_of
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError
from profiler import assembly, flows
from profiler.arguments import argument_columns
from profiler.clock import BootClock
from profiler.loaders.base import CALLS
from profiler.processes import ExecIds, Executables, Processes
from profiler.ring import Records
from profiler.wire import checked

__all__ = ["assembled", "lived"]

_KEYED = {"window": 0, "workload": 0, "instance": 0, "phase": 3}
_LIFE = (RecordKind.EXEC, RecordKind.EXEC_FAILED, RecordKind.FORK, RecordKind.EXIT)


class _AnySlot(dict[int, Any]):
    """Slots of one workload that is recorded, whatever number a record has."""

    def get(self, number: int, default: Any = None) -> Any:
        return SimpleNamespace(
            instance=SimpleNamespace(workload=0, number=0, verdict="wanted"), phase=3
        )


def _rows(table: str, columns: dict[str, Any]) -> int:
    """Put *columns* into *table* as the recorder does; return how many rows it took."""
    count = len(next(iter(columns.values())))
    keyed = {name: [value] * count for name, value in _KEYED.items()}
    names = {column.name for column in TABLES[table].columns}
    return int(
        batch_of(TABLES[table], {k: v for k, v in keyed.items() if k in names} | columns).num_rows
    )


def lived(
    records: dict[RecordKind, Records], executables: Executables, ids: ExecIds, clock: BootClock
) -> None:
    """Make process rows of *records*: at most one of each, every exec that was tried among them."""
    registry: Any = SimpleNamespace(slots=_AnySlot())
    processes = Processes(registry, executables, ids, clock, redact=lambda argv: (list(argv), 0))
    life = [(kind, records[kind]) for kind in _LIFE if kind in records]
    processes.take(life, 0)
    _, columns = processes.take_rows()
    tried = sum(len(batch.heads) for kind, batch in life if kind in _LIFE[:2])
    forked = sum(len(batch.heads) for kind, batch in life if kind is RecordKind.FORK)
    assert tried <= _rows("processes", columns) <= tried + forked
    used = executables.take_rows(set(columns["exe"]) | {0})
    assert _rows("executables", used) == len(used["exe"])


def assembled(data: bytes, executables: Executables, ids: ExecIds, clock: BootClock) -> None:
    """Take *data* for the keys and values of each set; every row of it must find its place."""

    def keys(name: str) -> np.ndarray:
        dtype = STRUCTS[name].dtype if name in STRUCTS else CALLS
        read = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
        try:
            return checked(read)
        except CaptureError:
            return read[:0]

    def counts(length: int) -> np.ndarray:
        return np.arange(1, length + 1, dtype=np.uint64)

    calls = keys("calls")
    assert _rows("syscalls", assembly.syscalls_columns(calls)) == len(calls)
    errors = keys("call_key")
    assert _rows("errors", assembly.errors_columns(errors, counts(len(errors)))) == len(errors)
    arguments = keys("argument_key").copy()
    with suppress(CaptureError):
        argument_columns(arguments, counts(len(arguments)), calls)
    arguments["nr"] = number_of(platform.machine(), "ioctl")
    whose, found = argument_columns(arguments, counts(len(arguments)), calls)
    assert _rows("arguments", found) == len(whose) >= len(arguments)
    denied = keys("denied_key")
    found = assembly.denied_columns(denied, counts(len(denied)), ids)
    assert _rows("denied", found) == len(denied)
    grams = keys("gram_key")
    assert _rows("ngrams", assembly.ngrams_columns(grams)) == len(grams)
    peers = keys("flow_key")
    uses = np.zeros(len(peers), STRUCTS["flow_use"].dtype)
    found = flows.network_columns(peers, uses, executables, clock)
    assert _rows("network", found) == len(peers)
