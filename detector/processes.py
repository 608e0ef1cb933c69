"""Who started whom: the processes of the watched workloads, as findings tell of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.process_facts import Facts, Process, processes_of
from detector.process_words import ancestor, executable_of, process_words
from ethogram.contracts.finding_parts import Ancestor, FindingProcess

__all__ = ["Process", "ProcessTree"]

# So many are named; a longer chain is somebody's intent.
_ANCESTORS = 32
_CHAIN = 1024
_LIMIT = 100_000
_SHARED = 10_000
# Of those that ran one executable so many of the newest are looked at: there may be thousands.
_LOOKED_AT = 256


class ProcessTree:
    """Remembers the newest processes, those that ended too: they are others' ancestors.

    *digest_of* knows the SHA-256 of an executable before its row has it.
    """

    def __init__(
        self, limit: int = _LIMIT, *, digest_of: Callable[[int], str | None] = lambda _: None
    ) -> None:
        self._limit = limit
        self._digest_of = digest_of
        self._known: dict[str, Process] = {}
        self._living: dict[tuple[int, bytes], dict[str, Process]] = {}
        self._by_pid: dict[tuple[int, int], str] = {}  # instance and process id -> the newest
        self._roots: dict[int, str] = {}  # instance -> its first process
        self._paths: dict[int, bytes] = {}
        self._numbers = pa.array([], pa.uint32())  # of executables whose paths are known
        self._shared: dict[Facts, Facts] = {}
        self._executables: pa.Table | None = None
        self._files: dict[int, dict[str, Any]] = {}  # of executables, in this window

    def take(self, rows: pa.Table, executables: pa.Table) -> None:
        """Take *rows* of table `processes`: new ones, and old ones that ended meanwhile."""
        self._executables = executables
        self._files.clear()
        for process in self.read(rows, executables):
            if process.errno is not None:
                continue  # nothing was executed
            before = self._known.get(process.exec_id)
            if before is not None:
                before.end_ns = process.end_ns
                before.exit_code, before.signal = process.exit_code, process.signal
                continue
            self._known[process.exec_id] = process
            self._by_pid[process.instance, process.pid] = process.exec_id
            # What the container runtime forks into it before is of the runtime's own tree.
            if not process.has_entered and process.session == process.exec_id:
                self._roots.setdefault(process.instance, process.exec_id)
            self._living.setdefault((process.instance, process.exe), {})[process.exec_id] = process
        if len(self._known) > self._limit:
            self._make_room()

    def read(self, rows: pa.Table, executables: pa.Table) -> Iterator[Process]:
        """Yield what *rows* of table `processes` say, those of execs that failed as well."""
        if not rows.num_rows:
            return
        self._learn_paths(rows, executables)
        if len(self._shared) > _SHARED:
            self._shared.clear()
        yield from processes_of(rows, self._paths, self._shared)

    def paths(self, executables: pa.Table) -> Mapping[int, bytes]:
        """Return the paths of *executables* by their numbers."""
        self._learn_paths(executables, executables)
        return self._paths

    def _learn_paths(self, rows: pa.Table, executables: pa.Table) -> None:
        unknown = pc.invert(pc.is_in(rows.column("exe"), value_set=self._numbers))
        if pc.any(unknown).as_py():
            numbers = executables.column("exe").to_pylist()
            self._paths = dict(zip(numbers, executables.column("path").to_pylist(), strict=True))
            self._numbers = pa.array(self._paths, pa.uint32())

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
            key = process.instance, process.pid
            if self._by_pid.get(key) == process.exec_id:
                del self._by_pid[key]
            self._bury(process)
        instances = {process.instance for process in self._known.values()}
        self._roots = {one: root for one, root in self._roots.items() if one in instances}

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
        return max(self._newest(instance, exe), key=lambda one: _likelihood(one, first_ns, last_ns),
                   default=None)  # fmt: skip

    def _newest(self, instance: int, exe: bytes) -> Iterator[Process]:
        group = self._living.get((instance, exe), {})
        return islice(reversed(group.values()), _LOOKED_AT)

    def running(self, instance: int, exe: bytes) -> Collection[Process]:
        """Return the processes of *instance* that ran *exe* a short while ago."""
        return self._living.get((instance, exe), {}).values()

    def is_running(self, process: Process) -> bool:
        """Return whether *process* ran a short while ago."""
        return process.exec_id in self._living.get((process.instance, process.exe), {})

    def above(self, process: Process, generations: int) -> Iterator[Process]:
        """Yield so many ancestors of *process* in its instance, the nearest first."""
        return islice(self._above(process), generations)

    def candidates(self, process: Process, first_ns: int, last_ns: int) -> int:
        """Return how many processes of its instance ran what *process* runs between these times.

        At most, that is, as many as are looked at.
        """
        group = self._newest(process.instance, process.exe)
        return sum(_likelihood(one, first_ns, last_ns)[1] for one in group)

    def root(self, instance: int) -> Ancestor | None:
        """Return the first process of *instance*, None where it is not known."""
        process = self._known.get(self._roots.get(instance, ""))
        return None if process is None else Ancestor.model_validate(ancestor(process))

    def described(self, process: Process, kind: str = "Container") -> FindingProcess:
        """Return *process* with its ancestors, the nearest first, as a finding has them.

        *kind* is that of its workload.
        """
        return FindingProcess.model_validate(self.words(process, kind))

    def words(self, process: Process, kind: str) -> dict[str, Any]:
        """Return what `described` does, as JSON has it."""
        above = list(self._above(process))
        told = process_words(process, above[:_ANCESTORS])
        if len(above) > _ANCESTORS:
            told["more_ancestors"] = len(above) - _ANCESTORS
        if entry := self._entry(process, above, kind):
            told["entry"] = entry
        leader = self._leader(process)
        if leader is not None:
            told["session_leader"] = ancestor(leader)
        if executable := self.file_of(process):
            told["file"] = executable
        return told

    def file_of(self, process: Process) -> dict[str, Any]:
        """Return what is known of the file that *process* executed, as JSON has it."""
        number = process.number
        if number not in self._files:
            self._files[number] = executable_of(self._executables, number)
        known = self._files[number]
        if known and "sha256" not in known and (digest := self._digest_of(number)):
            known["sha256"] = digest
        return known

    def _leader(self, process: Process) -> Process | None:
        sid = process.facts.sid
        if not sid:
            return None
        return self._known.get(self._by_pid.get((process.instance, sid), ""))

    def _entry(self, process: Process, above: list[Process], kind: str) -> dict[str, Any] | None:
        """Return where the tree of *process* began; a login is where its session did.

        None for what the container runtime does in a container before its first process runs.
        """
        session, facts = process.session or process.exec_id, process.facts
        root = self._known.get(self._roots.get(process.instance, ""))
        is_login = facts.loginuid is not None and (
            kind == "Unit" or (root is not None and root.facts.loginuid != facts.loginuid)
        )
        if process.has_entered:
            word = "exec"
        elif is_login:
            word = "login"
            for one in above:
                if one.facts.sessionid != facts.sessionid:
                    break
                session = one.exec_id
            else:
                session = above[-1].exec_id if above else process.exec_id
        else:
            word = {"Unit": "unit", "Command": "command"}.get(kind, "service")
            if word == "service" and session != self._roots.get(process.instance):
                return None
        first = self._known.get(session)
        told = {"exec_id": session} if first is None else ancestor(first)
        return {"type": word, **{name: told[name] for name in told if name != "is_fork"}}

    def _above(self, process: Process) -> Iterator[Process]:
        seen = {process.exec_id}
        found = self._parent(process)
        while found is not None and found.exec_id not in seen and len(seen) <= _CHAIN:
            if found.instance != process.instance:
                return
            seen.add(found.exec_id)
            yield found
            found = self._parent(found)

    def _parent(self, process: Process) -> Process | None:
        """Return who forked *process*, else who was its parent when it executed."""
        found = self._known.get(process.parent or "")
        return found or self._known.get(process.parent_exec_id or "")


def _likelihood(process: Process, first_ns: int, last_ns: int) -> tuple[bool, bool, bool, int]:
    end_ns = process.end_ns if process.end_ns is not None else last_ns
    ran_first = process.start_ns <= first_ns <= end_ns
    ran_at_all = process.start_ns <= last_ns and first_ns <= end_ns
    return ran_first, ran_at_all, not process.is_fork, process.start_ns
