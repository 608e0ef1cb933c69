"""Who started whom: the processes of the watched workloads, as findings tell of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from ethogram.contracts.escape import escape
from ethogram.contracts.finding import Ancestor, FindingProcess
from ethogram.contracts.flags import ProcessFlag

__all__ = ["Process", "ProcessTree"]

_ANCESTORS = 8
_ARGUMENTS, _ARGUMENT_LENGTH = 32, 512
_LIMIT = 100_000


@dataclass(slots=True)
class Process:
    """One exec, or a fork that never executed; times in nanoseconds UTC, None while it lives."""

    exec_id: str
    parent: str | None
    pid: int
    instance: int
    exe: bytes
    argv: tuple[bytes, ...]
    start_ns: int
    end_ns: int | None
    is_fork: bool


class ProcessTree:
    """Remembers the newest processes, those that ended too: they are others' ancestors."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._known: dict[str, Process] = {}
        self._living: dict[tuple[int, bytes], dict[str, Process]] = {}

    def take(self, rows: pa.Table, executables: pa.Table) -> None:
        """Take *rows* of table `processes`: new ones, and old ones that ended meanwhile."""
        for process in _processes(rows, executables):
            before = self._known.get(process.exec_id)
            if before is not None:
                before.end_ns = process.end_ns
                continue
            self._known[process.exec_id] = process
            self._living.setdefault((process.instance, process.exe), {})[process.exec_id] = process
        if len(self._known) > self._limit:
            self._make_room()

    def forget_ended(self, before_ns: int) -> None:
        """Let those that ended before *before_ns* no longer be what did something now."""
        ended = [
            process
            for group in self._living.values()
            for process in group.values()
            if process.end_ns is not None and process.end_ns < before_ns
        ]
        for process in ended:
            self._bury(process)

    def _make_room(self) -> None:
        """Forget a tenth: those that ended, the oldest first, and only then who lives."""
        by_age = sorted(self._known.values(), key=lambda process: process.end_ns is None)
        for process in by_age[: len(self._known) - self._limit * 9 // 10]:
            del self._known[process.exec_id]
            self._bury(process)

    def _bury(self, process: Process) -> None:
        key = (process.instance, process.exe)
        group = self._living.get(key)
        if group is not None:
            group.pop(process.exec_id, None)
            if not group:
                del self._living[key]

    def get(self, exec_id: str) -> Process | None:
        """Return the process with *exec_id*."""
        return self._known.get(exec_id)

    def doer(self, instance: int, exe: bytes | None, first_ns: int, last_ns: int) -> Process | None:
        """Return the process of *instance* that ran *exe* between these times, None for none.

        Where several did, which one it was is not known: the one that ran when it was first seen
        and began last is the likeliest.
        """
        if exe is None:
            return None
        group = self._living.get((instance, exe), {})
        return max(group.values(), key=lambda one: _likelihood(one, first_ns, last_ns),
                   default=None)  # fmt: skip

    def described(self, process: Process) -> FindingProcess:
        """Return *process* with its ancestors, the nearest first, as a finding has them."""
        return FindingProcess(
            exec_id=process.exec_id,
            pid=process.pid,
            exe=escape(process.exe),
            argv=tuple(escape(word[:_ARGUMENT_LENGTH]) for word in process.argv[:_ARGUMENTS]),
            ancestry=tuple(
                Ancestor(exec_id=one.exec_id, exe=escape(one.exe)) for one in self._above(process)
            ),
        )

    def _above(self, process: Process) -> Iterator[Process]:
        seen = {process.exec_id}
        parent = process.parent
        while parent is not None and parent not in seen and len(seen) <= _ANCESTORS:
            seen.add(parent)
            found = self._known.get(parent)
            if found is None or found.instance != process.instance:
                return
            yield found
            parent = found.parent


def _likelihood(process: Process, first_ns: int, last_ns: int) -> tuple[bool, bool, bool, int]:
    end_ns = process.end_ns if process.end_ns is not None else last_ns
    ran_first = process.start_ns <= first_ns <= end_ns
    ran_at_all = process.start_ns <= last_ns and first_ns <= end_ns
    return ran_first, ran_at_all, not process.is_fork, process.start_ns


def _processes(rows: pa.Table, executables: pa.Table) -> Iterable[Process]:
    numbers = executables.column("exe").to_pylist()
    path_of = dict(zip(numbers, executables.column("path").to_pylist(), strict=True))
    columns = ["exec_id", "parent_exec_id", "fork_parent_exec_id", "tgid", "instance", "exe",
               "argv", "flags", "errno"]  # fmt: skip
    times = [rows.column(name).cast(pa.int64()).to_pylist() for name in ("start", "end")]
    for row, start, end in zip(rows.select(columns).to_pylist(), *times, strict=True):
        if row["errno"] is not None:
            continue  # nothing was executed
        yield Process(
            exec_id=row["exec_id"],
            parent=row["parent_exec_id"] or row["fork_parent_exec_id"],
            pid=row["tgid"],
            instance=row["instance"],
            exe=path_of.get(row["exe"]) or b"",
            argv=tuple(row["argv"]),
            start_ns=start,
            end_ns=end,
            is_fork=bool(row["flags"] & ProcessFlag.FORKED),
        )
