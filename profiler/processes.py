"""Processes and executables: from the records of exec, fork and exit to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.events import EventFlag, RecordKind
from ethogram.contracts.flags import ProcessFlag
from profiler.clock import BootClock
from profiler.exec_ids import ExecIds
from profiler.executables import Executables
from profiler.in_order import in_order
from profiler.process_records import (
    COLUMNS,
    NOTHING_BEFORE,
    UNKNOWN,
    Ended,
    Executed,
    Forked,
    Own,
    ended,
    executed,
    forked,
)
from profiler.registry import Registry
from profiler.ring import Records
from profiler.snapshot import read_all

__all__ = ["ExecIds", "Executables", "Processes"]

_WIRE_FLAGS = 0xFFFF
_AT_ONCE = 500  # records, some milliseconds, until the rings are looked after
# As plain numbers: an operator of an enum takes longer than the rest of a row's flags.
_REDACTED, _FORKED = int(ProcessFlag.REDACTED), int(ProcessFlag.FORKED)
_TOLD = {"process_record": executed, "fork_record": forked, "exit_record": ended}
_NOBODY = Own(0, "", None, None, None, 0, 0, 0, 0)
Redact = Callable[[Sequence[bytes]], tuple[list[bytes], int]]


@dataclass(slots=True)
class _Row:
    """One process row, its columns as they are known so far, and the slot it began in.

    *before* and *facts* are columns of these names in `process_records`; *ended* is when it ended,
    exit code and signal. *is_exec*: it executed something, and did not merely try or fork. *whose*
    is workload, instance and phase, once its workload has a name: the slot may mean another
    instance by the time the process ends. *is_foreign*: nobody asked for its workload.
    """

    slot: int
    is_exec: bool
    own: Own
    before: tuple[int | None, ...]
    facts: tuple[Any, ...]
    ended: tuple[int | None, ...] = (None, None, None)
    whose: tuple[int, int, int] | None = None
    is_foreign: bool = False
    is_written: bool = False
    has_children: bool = False

    def columns(self) -> tuple[Any, ...]:
        """Return the values of `COLUMNS`."""
        return *self.own, *self.ended, *self.before, *self.facts


class Processes:
    """Keeps who is alive, and makes a row of each exec and of each fork that never executed.

    A row is given out when it begins and again when it ends; readers keep the last.
    """

    def __init__(
        self,
        registry: Registry,
        executables: Executables,
        ids: ExecIds,
        clock: BootClock,
        *,
        redact: Redact,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._meanwhile = meanwhile
        self._registry = registry
        self._executables = executables
        self._ids = ids
        self._clock = clock
        self._redact = redact
        self._live: dict[int, _Row] = {}
        self._current: dict[int, int] = {}  # tgid -> key of its exec, or of its fork until then
        self._changed: list[_Row] = []
        self._snapshots: dict[int, tuple[bytes, bytes]] = {}
        self._redactions: dict[bytes, tuple[list[bytes], int]] = {}
        self.redacted = 0

    def read_snapshots(self, batches: Iterable[Records]) -> None:
        """Read from /proc what the kernel side could not, of processes that were there before."""
        found = {
            key: tgid
            for batch in batches
            for key, tgid in batch.heads[["exec_key", "tgid"]].tolist()
        }
        self._snapshots = read_all(found)

    def take(
        self,
        records: Iterable[tuple[RecordKind, Records]],
        window: int,
        *,
        write: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the life records of a window, of all kinds, in the order of their time.

        *write* is called now and then, so that rows need not all be held at once.
        """
        for part in in_order(records, _AT_ONCE):
            self._meanwhile()
            told = {name: _TOLD[name](batch, self._ids) for name, batch in part.records.items()}
            self._redactions.clear()
            for struct in part.structs:
                match next(told[struct]):
                    case Executed() as one:
                        self._take_exec(one, window)
                    case Forked() as one:
                        self._take_fork(one, window)
                    case Ended() as one:
                        self._take_end(one)
            write()

    def _take_exec(self, one: Executed, window: int) -> None:
        if not one.errno:
            self._succeed(one.tgid, one.key, one.time_ns)
        row = self._row(one, window)
        self._changed.append(row)
        if not one.errno:
            self._live[one.key] = row

    def _succeed(self, tgid: int, key: int, time_ns: int) -> None:
        """Let an exec or a fork take the place of what its process id stood for before.

        A fork that executes is no row of its own, unless it forked before: its children name it.
        An exec ends the one before it in the process,
        and so does whoever gets the id of a process whose end was lost.
        """
        before = self._live.pop(self._current.get(tgid, 0), None)
        self._current[tgid] = key
        if before is not None and (before.is_exec or before.is_written or before.has_children):
            before.ended = self._clock.utc_ns(time_ns), None, None
            self._changed.append(before)

    def _row(self, one: Executed, window: int) -> _Row:
        path, cwd, interpreter, script, _, raw = one.parts
        is_snapshot = bool(one.flags & EventFlag.SNAPSHOT)
        if is_snapshot:
            cwd, raw = self._snapshots.pop(one.key, (b"", b""))
        argv, redacted = self._withheld(raw)
        self.redacted += redacted
        own = Own(
            window=window,
            # A failed exec changes nothing: its row is an event, not the process's own.
            exec_id=f"{one.exec_id}-{one.time_ns:x}" if one.errno else one.exec_id,
            parent_exec_id=one.exec_id if one.errno else one.parent,
            fork_parent_exec_id=one.fork_parent,
            session_exec_id=one.session,
            tgid=one.tgid,
            ns_tgid=one.ns_tgid,
            exe=self._executables.number_of(one.exe_key)
            if one.errno
            else self._executables.add(one.head, path, one.exe_key),
            interpreter=interpreter or None,
            script=(path if one.errno else script) or None,
            cwd=cwd or None,
            argv=argv,
            flags=one.flags & _WIRE_FLAGS | (_REDACTED if redacted else 0),
            start=self._clock.utc_ns(one.time_ns),
            errno=one.errno or None,
            observed="snapshot" if is_snapshot else "live",
        )
        return _Row(one.slot, not one.errno, own, one.before, one.facts)

    def _take_fork(self, one: Forked, window: int) -> None:
        parent = self._live.get(one.parent_key)
        facts, like = UNKNOWN, _NOBODY
        if parent is not None:
            parent.has_children = True
            facts, like = parent.facts, parent.own
        own = like._replace(
            window=window,
            exec_id=one.exec_id,
            parent_exec_id=one.parent,
            fork_parent_exec_id=one.parent,
            session_exec_id=one.session,
            tgid=one.tgid,
            ns_tgid=one.ns_tgid,
            exe=self._executables.number_of(one.exe_key),
            flags=like.flags | _FORKED,
            start=self._clock.utc_ns(one.time_ns),
            errno=None,
            observed="live",
        )
        self._succeed(one.tgid, one.key, one.time_ns)
        self._live[one.key] = _Row(one.slot, False, own, NOTHING_BEFORE, facts)

    def _take_end(self, one: Ended) -> None:
        row = self._live.pop(one.key, None)
        if self._current.get(one.tgid) == one.key:
            del self._current[one.tgid]
        if row is not None:
            row.ended = self._clock.utc_ns(one.time_ns), one.exit_code, one.signal
            self._changed.append(row)

    def _withheld(self, raw: bytes) -> tuple[list[bytes], int]:
        """Return arguments without secrets, and how many of them changed; the same ones once."""
        known = self._redactions.get(raw)
        if known is None:
            words = raw.removesuffix(b"\0").split(b"\0") if raw else []
            known = self._redactions[raw] = self._redact(words)
        return known

    def take_rows(self, *, is_end: bool = True) -> tuple[list[int], dict[str, list[Any]]]:
        """Return the slots of new execs, and the columns of rows that are new or changed.

        At the *is_end* of a window, a fork that has lived until then without executing anything is
        a row too. Rows of a workload whose name is still to come stay; those of one that nobody
        asked for go.
        """
        for row in self._live.values() if is_end else ():
            if not row.is_written and not row.is_exec and not row.is_foreign:
                self._changed.append(row)
        rows = list({id(row): row for row in self._changed}.values())
        self._changed = [row for row in rows if self._is_pending(row)]
        written = [row for row in rows if row.whose is not None]
        began = [row.slot for row in written if not row.is_written and row.is_exec]
        for row in written:
            row.is_written = True
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        values = zip(*(row.columns() for row in written), strict=True)
        columns |= dict(zip(COLUMNS, map(list, values), strict=False))  # none of no row
        whose = [row.whose or (0, 0, 0) for row in written]
        for index, name in enumerate(("workload", "instance", "phase")):
            columns[name] = [numbers[index] for numbers in whose]
        return began, columns

    def _is_pending(self, row: _Row) -> bool:
        """Find out whose the row is, where that is not known yet; may it still come?"""
        slot = self._registry.slots.get(row.slot)
        if row.whose is not None or row.is_foreign or slot is None:
            return False
        if slot.instance.verdict == "wanted":
            row.whose = slot.instance.workload, slot.instance.number, slot.phase
        row.is_foreign = slot.instance.verdict == "unwanted"
        return slot.instance.verdict == "pending"
