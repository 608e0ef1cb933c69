"""What several rows say together, of one window or of a few: relayed shells, scans of ports.

An indicator judges rows of one table, each alone. Whether a shell on a pipe is one that somebody
talks to over the network is written in two: that the shell is there, and that a process beside it
has a connection that it never had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from detector.deviations import Deviation
from detector.processes import Process, ProcessTree
from detector.relation_rules import PORT_SCAN, RELAYED_SHELL, Relation, is_go_between, is_shell
from detector.remembered import newest_of_each
from detector.sighting import Sighting
from detector.words import in_words
from ethogram.contracts.baseline import PeerValue
from ethogram.contracts.escape import escape
from ethogram.indicators.arguments import takes_commands
from ethogram.indicators.predicates import among, executed, stream_is, truth

__all__ = ["Relations"]

_REMEMBERED_NS = 10 * 10**9
_PORTS = 15  # of one address, none of which the baseline has
_GENERATIONS = 4
# Who started them -> executable -> some that ran it.
_Beside: TypeAlias = dict[str | None, dict[bytes, list[str]]]


@dataclass(frozen=True, slots=True)
class _Shell:
    """A shell that takes its commands from a pipe or a terminal."""

    instance: int
    exec_id: str
    phase: str
    start_ns: int
    is_piped: bool


@dataclass(frozen=True, slots=True)
class _Flow:
    """A connection that the baseline does not have; which process of *exe* has it is not known."""

    instance: int
    exe: bytes
    phase: str
    value: PeerValue
    first_ns: int
    last_ns: int


class Relations:
    """Remembers shells and strange connections for some seconds, and tells what they are together.

    Both may come first, and in another window: a relay begins with either.
    """

    def __init__(self, tree: ProcessTree) -> None:
        self._tree = tree
        self._shells: list[_Shell] = []
        self._flows: dict[tuple[int, bytes, str], _Flow] = {}
        # The shells of the last window, by `exec_id`: no other process counts here.
        self.told_of: Collection[str] = ()

    def of(
        self,
        processes: pa.Table,
        strayed: Iterable[tuple[int, Deviation]],
        now_ns: int,
    ) -> Iterator[Sighting]:
        """Yield what a window adds up to.

        *processes* are its rows as `indications.judged` returns them, *strayed* its deviations by
        instance.
        """
        self._forget(now_ns - _REMEMBERED_NS)
        shells = list(_shells(processes))
        self.told_of = {one.exec_id for one in shells}
        flows = list(_flows(strayed))
        if not shells and not flows:
            return
        self._shells = newest_of_each([*self._shells, *shells])
        for flow in flows:
            key = flow.instance, flow.exe, in_words(flow.value)
            self._flows.pop(key, None)  # the newest stands last
            self._flows[key] = flow
        kept = {id(flow) for flow in newest_of_each(self._flows.values())}
        self._flows = {key: flow for key, flow in self._flows.items() if id(flow) in kept}
        yield from self._relays({one.exec_id for one in shells}, flows)
        yield from self._scans({(one.instance, one.exe) for one in flows})

    def _forget(self, before_ns: int) -> None:
        self._shells = [one for one in self._shells if one.start_ns >= before_ns]
        self._flows = {key: one for key, one in self._flows.items() if one.last_ns >= before_ns}

    # --- a shell, and who carries its words ------------------------------------------------------

    def _relays(self, new: Collection[str], flows: Iterable[_Flow]) -> Iterator[Sighting]:
        """Yield the shells that have a go-between; what both were seen before was told then."""
        new_flows = {id(flow) for flow in flows}
        by_instance: dict[int, dict[bytes, list[_Flow]]] = defaultdict(lambda: defaultdict(list))
        for flow in self._flows.values():
            if is_go_between(flow.exe, is_beside=False):
                by_instance[flow.instance][flow.exe].append(flow)
        shells: dict[int, list[_Shell]] = defaultdict(list)
        for shell in self._shells:
            if shell.instance in by_instance:
                shells[shell.instance].append(shell)
        for instance, some in shells.items():
            by_exe = by_instance[instance]
            beside = self._beside(instance, by_exe) if any(one.is_piped for one in some) else {}
            for shell in some:
                process = self._tree.get(shell.exec_id)
                if process is None:
                    continue
                for exe in self._carriers(shell, process, beside):
                    found = [one for one in by_exe.get(exe, ())
                             if shell.exec_id in new or id(one) in new_flows]  # fmt: skip
                    if found:
                        yield _relay(shell, process, found[0])
                        break

    def _beside(self, instance: int, exes: Iterable[bytes]) -> _Beside:
        """Return who ran one of *exes* that may feed a shell beside it, by who started them.

        Two of each are enough: the shell itself may be one.
        """
        found: _Beside = defaultdict(dict)
        for exe in exes:
            if is_go_between(exe, is_beside=True):
                for one in self._tree.running(instance, exe):
                    group = found[one.parent].setdefault(exe, [])
                    if len(group) < 2:
                        group.append(one.exec_id)
        return found

    def _carriers(self, shell: _Shell, process: Process, beside: _Beside) -> Iterator[bytes]:
        """Yield the executables of those that started *shell*, or may be piped to it."""
        exes = [
            one.exe for one in self._tree.above(process, _GENERATIONS)
            if self._tree.is_running(one)
        ]  # fmt: skip
        if shell.is_piped:
            exes += [
                exe for exe, group in beside.get(process.parent, {}).items()
                if group != [shell.exec_id]
            ]  # fmt: skip
        for exe in dict.fromkeys(exes):
            # It may be its own: an interpreter that was told what to do by a pipe.
            if exe != process.exe or is_shell(exe):
                yield exe

    # --- one after another -----------------------------------------------------------------------

    def _scans(self, doers: Collection[tuple[int, bytes]]) -> Iterator[Sighting]:
        """Yield who of *doers* tried many ports of one address within the seconds remembered."""
        tried: dict[tuple[int, bytes, str], list[_Flow]] = defaultdict(list)
        for flow in self._flows.values():
            if (flow.instance, flow.exe) in doers and flow.value.direction == "out":
                tried[flow.instance, flow.exe, _whom(flow.value)].append(flow)
        for (_, _, whom), group in tried.items():
            ports = {flow.value.port for flow in group}
            if len(ports) >= _PORTS:
                yield _scan(whom, group)


def _shells(rows: pa.Table) -> Iterator[_Shell]:
    if not rows.num_rows:
        return
    piped = stream_is(rows, 0, "pipe")
    waits = pc.and_(pc.or_(piped, stream_is(rows, 0, "tty")), executed(rows))
    obeys = among(rows, waits, takes_commands)
    if not obeys.true_count:
        return
    chosen = rows.select(["instance", "exec_id", "phase"]).filter(obeys).to_pylist()
    starts = rows.column("start").cast(pa.int64()).filter(obeys).to_pylist()
    through_pipe = truth(piped).filter(obeys).to_pylist()
    for row, start_ns, is_piped in zip(chosen, starts, through_pipe, strict=True):
        yield _Shell(row["instance"], row["exec_id"], row["phase"], start_ns, is_piped)


def _flows(strayed: Iterable[tuple[int, Deviation]]) -> Iterator[_Flow]:
    for instance, one in strayed:
        if isinstance(one.value, PeerValue) and one.exe is not None:
            yield _Flow(instance, one.exe, one.phase, one.value, one.first_ns, one.last_ns)


def _relay(shell: _Shell, process: Process, flow: _Flow) -> Sighting:
    stream = "a pipe" if shell.is_piped else "a terminal"
    peer = in_words(flow.value)
    return _sighting(
        RELAYED_SHELL,
        flow,
        observed=f"{escape(process.exe)} on {stream}, beside {escape(flow.exe)} with {peer}",
        dimension="execs",
        identity=f"{escape(process.exe)} on {stream}, beside {escape(flow.exe)}",
        exe=process.exe,
        exec_id=shell.exec_id,
        phase=shell.phase,
        first_ns=min(shell.start_ns, flow.first_ns),
    )


def _scan(whom: str, group: list[_Flow]) -> Sighting:
    ports = sorted(flow.value.port or 0 for flow in group)
    last = max(group, key=lambda flow: flow.last_ns)
    return _sighting(
        PORT_SCAN,
        last,
        observed=f"{len(ports)} ports of {whom}: from {ports[0]} to {ports[-1]}",
        dimension="peers",
        identity=f"ports of {whom}",
        first_ns=min(flow.first_ns for flow in group),
    )


def _whom(value: PeerValue) -> str:
    return value.identity.model_dump_json() if value.identity else str(value.address)


def _sighting(
    rule: Relation, flow: _Flow, *, observed: str, dimension: str, identity: str, **more: Any
) -> Sighting:
    facts: dict[str, Any] = {
        "exe": flow.exe, "exec_id": None, "phase": flow.phase, "first_ns": flow.first_ns,
    }  # fmt: skip
    return Sighting(
        layer="indicator",
        rule=rule.id,
        title=rule.title,
        reason=rule.reason,
        severity=rule.severity,
        attack=rule.attack,
        instance=flow.instance,
        dimension=dimension,
        observed=observed,
        last_ns=flow.last_ns,
        count=1,
        identity=identity,
        confidence=rule.confidence,
        compliance=rule.compliance,
        **(facts | more),
    )
