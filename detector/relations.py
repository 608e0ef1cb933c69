"""What several rows say together, of one window or of a few: relayed shells, scans of ports.

An indicator judges rows of one table, each alone. Whether a shell on a pipe is one that somebody
talks to over the network is written in two: that the shell is there, and that a process beside it
has a connection that it never had.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

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
        yield from self._relays({one.exec_id for one in shells}, set(flows))
        yield from self._scans({(one.instance, one.exe) for one in flows})

    def _forget(self, before_ns: int) -> None:
        self._shells = [one for one in self._shells if one.start_ns >= before_ns]
        self._flows = {key: one for key, one in self._flows.items() if one.last_ns >= before_ns}

    # --- a shell, and who carries its words ------------------------------------------------------

    def _relays(self, new: Collection[str], flows: Collection[_Flow]) -> Iterator[Sighting]:
        """Yield the shells that have a go-between; what both were seen before was told then."""
        for shell in self._shells:
            process = self._tree.get(shell.exec_id)
            if process is None:
                continue
            for flow in self._flows.values():
                is_new = shell.exec_id in new or flow in flows
                if is_new and flow.instance == shell.instance and self._carries(flow, shell):
                    yield _relay(shell, process, flow)
                    break

    def _carries(self, flow: _Flow, shell: _Shell) -> bool:
        """Return whether a process that may have *flow* started *shell*, or is piped to it."""
        process = self._tree.get(shell.exec_id)
        if process is None or not is_go_between(flow.exe, is_beside=False):
            return False
        if flow.exe == process.exe and not is_shell(flow.exe):
            return False  # it may be its own: an interpreter that was told what to do by a pipe
        above = {one.exec_id for one in self._tree.above(process, _GENERATIONS)}
        beside = shell.is_piped and is_go_between(flow.exe, is_beside=True)
        return any(
            one.exec_id in above
            or (beside and one.exec_id != shell.exec_id and one.parent == process.parent)
            for one in self._tree.running(flow.instance, flow.exe)
        )

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
