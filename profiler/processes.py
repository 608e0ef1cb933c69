"""Processes and executables: from the records of exec, fork and exit to rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ethogram.contracts.events import EventFlag, RecordKind
from ethogram.contracts.flags import ProcessFlag
from profiler.clock import BootClock
from profiler.process_records import BEFORE, COLUMNS, facts_of, parts_of, unknown_facts
from profiler.registry import Registry
from profiler.ring import Records
from profiler.snapshot import read_all

__all__ = ["ExecIds", "Executables", "Processes"]

_WIRE_FLAGS = 0xFFFF
_EXECUTABLES = 100_000
_AT_ONCE = 500  # records, some milliseconds, until the rings are looked after
_ROWS_AT_ONCE = 1024  # records, before the rows that came of them are written
_SIGNAL, _STATUS = 0x7F, 8
Redact = Callable[[Sequence[bytes]], tuple[list[bytes], int]]


class ExecIds:
    """Names execs so that the same one has the same name in every recording of this boot.

    The kernel side's key is a hash of process id, start time and count of execs; host and boot
    are put before it here.
    """

    def __init__(self, host_id: str, boot_id: str) -> None:
        digest = hashlib.blake2b(f"{host_id}\0{boot_id}".encode(), digest_size=4)
        self._prefix = digest.hexdigest()

    def of(self, key: int) -> str:
        """Return the `exec_id` of a kernel key."""
        return f"{self._prefix}{key:016x}"

    def maybe(self, key: int) -> str | None:
        """Return the `exec_id` of a kernel key, None for 0, which is no process."""
        return self.of(key) if key else None


class Executables:
    """Numbers what was executed. Number 0 is what is not known.

    At most 100,000 are told apart: a workload may write and execute without end. `overflow` counts
    the execs of those beyond.
    """

    def __init__(self, clock: BootClock) -> None:
        self._clock = clock
        self._numbers: dict[int, int] = {0: 0}
        self.paths: dict[int, bytes] = {0: b""}
        self.overflow = 0
        self._rows: dict[int, dict[str, Any]] = {
            0: {"exe": 0, "path": b"", "dev": 0, "ino": 0, "ctime": 0, "nlink": 0, "memfd": False}
        }

    def add(self, head: np.void, path: bytes) -> int:
        """Return the number of the executable of a `process_record`."""
        key = int(head["exe_key"])
        number = self._numbers.get(key)
        if number is not None:
            return number
        if len(self._numbers) >= _EXECUTABLES:
            self.overflow += 1
            return 0
        number = self._numbers[key] = len(self._numbers)
        flags = int(head["flags"])
        self.paths[number] = path
        self._rows[number] = {
            "exe": number,
            "path": path,
            "dev": int(head["dev"]),
            "ino": int(head["ino"]),
            # A file system of the workload's own may say any time, and one before 1970.
            "ctime": int(head["ctime_ns"].astype(np.int64)),
            "nlink": int(head["nlink"]),
            "upper": _is_upper(flags),
            "memfd": bool(flags & ProcessFlag.MEMFD),
        }
        return number

    def take_overflow(self) -> int:
        """Return how many execs found no number since the last call."""
        count, self.overflow = self.overflow, 0
        return count

    def number_of(self, key: int) -> int:
        """Return the number of a kernel key, 0 where it was never seen."""
        return self._numbers.get(key, 0)

    def numbers_of(self, keys: np.ndarray) -> np.ndarray:
        """Return the number of each kernel key, 0 where it was never seen."""
        unique, inverse = np.unique(keys, return_inverse=True)
        known = np.array([self._numbers.get(int(key), 0) for key in unique], np.uint32)
        return known[inverse] if len(unique) else np.zeros(0, np.uint32)

    def take_rows(self, used: set[int]) -> dict[str, list[Any]]:
        """Return columns of `executables` for those in *used* that were not given out before.

        What only workloads executed that nobody asked for is none of a recording's business.
        """
        numbers = sorted(used & self._rows.keys())
        rows = [self._rows.pop(number) for number in numbers]
        names = ("exe", "path", "dev", "ino", "ctime", "nlink", "upper", "memfd")
        return {name: [row.get(name) for row in rows] for name in names}


def _is_upper(flags: int) -> bool | None:
    return bool(flags & EventFlag.UPPER_LAYER) if flags & EventFlag.OVERLAY else None


@dataclass(slots=True)
class _Row:
    """One process row, its columns as they are known so far, and the slot it began in.

    *whose* is workload, instance and phase, once its workload has a name: the slot may mean
    another instance by the time the process ends.
    """

    slot: int
    columns: dict[str, Any] = field(default_factory=dict)
    whose: tuple[int, int, int] | None = None
    is_written: bool = False
    has_children: bool = False

    @property
    def is_exec(self) -> bool:
        """It executed something, and did not merely try or fork."""
        return self.columns["errno"] is None and not self.columns["flags"] & ProcessFlag.FORKED


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
        for count, (kind, head, tail) in enumerate(_in_order(list(records)), 1):
            if count % _AT_ONCE == 0:
                self._meanwhile()
            if count % _ROWS_AT_ONCE == 0:
                write()
            match kind:
                case RecordKind.EXEC:
                    self._executed(head, tail, window)
                case RecordKind.EXEC_FAILED:
                    self._changed.append(self._row(head, tail, window))
                case RecordKind.FORK:
                    self._fork(head, window)
                case RecordKind.EXIT:
                    self._ended(head)

    def _executed(self, head: np.void, tail: bytes, window: int) -> None:
        self._succeed(head)
        row = self._row(head, tail, window)
        self._live[int(head["exec_key"])] = row
        self._changed.append(row)

    def _succeed(self, head: np.void) -> None:
        """Let an exec or a fork take the place of what its process id stood for before.

        A fork that executes is no row of its own, unless it forked before: its children name it.
        An exec ends the one before it in the process,
        and so does whoever gets the id of a process whose end was lost.
        """
        tgid, key = int(head["tgid"]), int(head["exec_key"])
        before = self._live.pop(self._current.get(tgid, 0), None)
        self._current[tgid] = key
        if before is not None and (before.is_exec or before.is_written or before.has_children):
            before.columns["end"] = self._clock.utc_ns(int(head["time_ns"]))
            self._changed.append(before)

    def _row(self, head: np.void, tail: bytes, window: int) -> _Row:
        flags, errno = int(head["flags"]), int(head["errnum"])
        path, cwd, interpreter, script, peers, raw = parts_of(head, tail)
        if flags & EventFlag.SNAPSHOT:
            cwd, raw = self._snapshots.pop(int(head["exec_key"]), (b"", b""))
        argv, redacted = self._redact(raw.split(b"\0")[:-1] if raw[-1:] == b"\0" else
                                      raw.split(b"\0") if raw else [])  # fmt: skip
        self.redacted += redacted
        process_flags = flags & _WIRE_FLAGS | (ProcessFlag.REDACTED if redacted else 0)
        key = int(head["exec_key"])
        columns = {
            "window": window,
            # A failed exec changes nothing: its row is an event, not the process's own.
            "exec_id": self._ids.of(key) + (f"-{int(head['time_ns']):x}" if errno else ""),
            "parent_exec_id": self._ids.of(key) if errno
            else self._ids.maybe(int(head["parent_key"])),
            "fork_parent_exec_id": self._ids.maybe(int(head["fork_parent_key"])),
            "session_exec_id": self._ids.maybe(int(head["session_key"])),
            "exe": self._executable(head, path, is_failed=errno != 0),
            "interpreter": interpreter or None,
            "script": (path if errno else script) or None,
            "cwd": cwd or None,
            "argv": argv,
            "flags": process_flags,
            "start": self._clock.utc_ns(int(head["time_ns"])),
            "errno": errno or None,
            "observed": "snapshot" if flags & EventFlag.SNAPSHOT else "live",
        }  # fmt: skip
        return _Row(int(head["slot"]), columns | facts_of(head, peers))

    def _executable(self, head: np.void, path: bytes, *, is_failed: bool) -> int:
        if is_failed:
            return self._executables.number_of(int(head["exe_key"]))
        return self._executables.add(head, path)

    def _fork(self, head: np.void, window: int) -> None:
        parent = self._live.get(int(head["parent_key"]))
        if parent is not None:
            parent.has_children = True
        key = int(head["exec_key"])
        columns = dict(parent.columns) if parent else unknown_facts()
        columns |= dict.fromkeys(BEFORE) | {
            "window": window,
            "exec_id": self._ids.of(key),
            "parent_exec_id": self._ids.maybe(int(head["parent_key"])),
            "fork_parent_exec_id": self._ids.maybe(int(head["parent_key"])),
            "session_exec_id": self._ids.maybe(int(head["session_key"])),
            "tgid": int(head["tgid"]),
            "ns_tgid": int(head["ns_tgid"]),
            "exe": self._executables.number_of(int(head["exe_key"])),
            "flags": int(columns["flags"]) | ProcessFlag.FORKED,
            "start": self._clock.utc_ns(int(head["time_ns"])),
            "errno": None,
            "observed": "live",
        }
        self._succeed(head)
        self._live[key] = _Row(int(head["slot"]), columns)

    def _ended(self, head: np.void) -> None:
        row = self._live.pop(int(head["exec_key"]), None)
        if self._current.get(int(head["tgid"])) == int(head["exec_key"]):
            del self._current[int(head["tgid"])]
        if row is None:
            return
        code = int(head["exit_code"])
        signal = code & _SIGNAL
        row.columns |= {
            "end": self._clock.utc_ns(int(head["time_ns"])),
            "exit_code": None if signal else code >> _STATUS & 0xFF,
            "signal": signal or None,
        }
        self._changed.append(row)

    def take_rows(self, *, is_end: bool = True) -> tuple[list[int], dict[str, list[Any]]]:
        """Return the slots of new execs, and the columns of rows that are new or changed.

        At the *is_end* of a window, a fork that has lived until then without executing anything is
        a row too. Rows of a workload whose name is still to come stay; those of one that nobody
        asked for go.
        """
        for row in self._live.values() if is_end else ():
            if not row.is_written and not row.is_exec:
                self._changed.append(row)
        rows = list({id(row): row for row in self._changed}.values())
        self._changed = [row for row in rows if self._is_pending(row)]
        written = [row for row in rows if row.whose is not None]
        began = [row.slot for row in written if not row.is_written and row.is_exec]
        for row in written:
            row.is_written = True
        columns = {name: [row.columns.get(name) for row in written] for name in COLUMNS}
        whose = [row.whose or (0, 0, 0) for row in written]
        for index, name in enumerate(("workload", "instance", "phase")):
            columns[name] = [numbers[index] for numbers in whose]
        return began, columns

    def _is_pending(self, row: _Row) -> bool:
        """Find out whose the row is, where that is not known yet; may it still come?"""
        slot = self._registry.slots.get(row.slot)
        if row.whose is not None or slot is None:
            return False
        if slot.instance.verdict == "wanted":
            row.whose = slot.instance.workload, slot.instance.number, slot.phase
        return slot.instance.verdict == "pending"


def _in_order(
    batches: list[tuple[RecordKind, Records]],
) -> Iterator[tuple[RecordKind, np.void, bytes]]:
    """Yield the records of *batches*, each of a kind, in the order of their time."""
    if not batches:
        return
    times = np.concatenate([batch.heads["time_ns"] for _, batch in batches])
    sizes = [len(batch.heads) for _, batch in batches]
    begins = np.concatenate(([0], np.cumsum(sizes)))
    order = np.argsort(times, kind="stable")
    places = np.searchsorted(begins, order, side="right") - 1
    for place, index in zip(places.tolist(), (order - begins[places]).tolist(), strict=True):
        kind, batch = batches[place]
        yield kind, batch.heads[index], batch.tails[index]
