"""Every process and every connection of a window, as lines of JSON with their tree.

Lines are put together from parts that many of them share: what is said of an instance and of a
process is written once a window.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from detector.live import Live
from detector.moments import moment
from detector.peer_words import PeerNames, dns_words, peer_words, rows_of
from detector.process_facts import Process
from detector.process_words import process_words
from detector.processes import ProcessTree
from detector.watched import Watched
from ethogram.contracts.escape import escape
from ethogram.contracts.event import EVENT_SCHEMA, Activity, EventKind

__all__ = ["Events", "OnEvents", "WantedEvents"]

# What is told of one window at most; the rest is counted.
_MOST = 50_000
_AT_ONCE = 500
_ENDS = 20_000  # of connections, until the other end is seen
_ACTIVITIES: Mapping[str, Activity] = {
    "out": "connect", "in": "accept", "listen": "listen", "bind": "bind",
}  # fmt: skip
_dump = json.JSONEncoder(ensure_ascii=False).encode


# Takes the lines of a window by kind, and how many more there were.
OnEvents: TypeAlias = "Callable[[Mapping[EventKind, Sequence[str]], int], None]"


@dataclass(slots=True)
class _Told:
    """One line without its id: when it was, for the order, and its parts."""

    utc_ns: int
    kind: EventKind
    activity: Activity
    instance: int
    phase: str
    process: str | None
    rest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WantedEvents:
    """Which kinds are asked for, and who takes their lines."""

    kinds: frozenset[EventKind]
    take: OnEvents


class Events:
    """Tells what each window shows of the kinds that are *wanted*.

    *run* is what the ids of this watch begin with.
    """

    def __init__(
        self, tree: ProcessTree, watched: Watched, wanted: WantedEvents, *, run: str
    ) -> None:
        self._tree, self._watched, self._wanted, self._run = tree, watched, wanted, run
        self._number = 0
        # By direction and the client's cookie.
        self._ends: dict[str, dict[int, dict[str, Any]]] = {"out": {}, "in": {}}
        # What many lines of one window share.
        self._heads: dict[int, str] = {}
        self._processes: dict[tuple[str, int], str] = {}
        self._doers: dict[tuple[int, bytes], tuple[Process | None, int]] = {}

    def take(self, live: Live, now_ns: int, between: Callable[[], None]) -> None:
        """Tell of the rows of *live* until *now_ns*; the tree and the watched have them already."""
        told: list[_Told] = []
        for one in self._all(live, now_ns):
            told.append(one)
            if not len(told) % _AT_ONCE:
                between()
        told.sort(key=lambda one: one.utc_ns)
        lines: dict[EventKind, list[str]] = defaultdict(list)
        for number, one in enumerate(told[:_MOST]):
            lines[one.kind].append(self._line(one))
            if not number % _AT_ONCE:
                between()
        for parts in (self._heads, self._processes, self._doers):
            parts.clear()
        if told:
            self._wanted.take(lines, max(0, len(told) - _MOST))

    def _all(self, live: Live, now_ns: int) -> Iterator[_Told]:
        if "process" in self._wanted.kinds:
            yield from self._begun(live)
            yield from self._ended(live)
        if "network" in self._wanted.kinds:
            yield from self._connections(live)
            yield from self._questions(live, now_ns)

    def _line(self, one: _Told) -> str:
        self._number += 1
        parts = [
            f'{{"schema": "{EVENT_SCHEMA}", "id": "{self._run}-{self._number:x}", '
            f'"time": "{moment(one.utc_ns)}", "kind": "{one.kind}", "activity": "{one.activity}", '
            f'{self._head(one.instance)}, "phase": "{one.phase}"'
        ]
        if one.process is not None:
            parts.append(f'"process": {one.process}')
        if one.rest:
            parts.append(_dump(one.rest)[1:-1])
        return ", ".join(parts) + "}"

    # --- processes ---------------------------------------------------------------------------

    def _begun(self, live: Live) -> Iterator[_Told]:
        rows = live.window("processes")
        phases = rows.column("phase").cast(pa.string()).to_pylist()
        for process, phase in zip(
            self._tree.read(rows, live.table("executables")), phases, strict=True
        ):
            if not self._watched.is_known(process.instance):
                continue
            if process.errno is not None:
                yield self._failed(process, phase)
                continue
            activity: Activity = "fork" if process.is_fork else "exec"
            if process.is_snapshot:
                activity = "present"
            yield _Told(process.start_ns, "process", activity, process.instance, phase,
                        self._words(process), {})  # fmt: skip

    def _failed(self, tried: Process, phase: str) -> _Told:
        who = self._tree.get(tried.parent_exec_id or "")
        asked = escape(tried.script) if tried.script else "?"
        rest = {"errno": tried.errno, "file": {"path": asked, "access": "x", "errno": tried.errno}}
        words = self._words(who) if who else _dump(process_words(tried, ()))
        return _Told(tried.start_ns, "process", "exec_failed", tried.instance, phase, words, rest)

    def _ended(self, live: Live) -> Iterator[_Told]:
        """Yield ends: one without code and signal is no end, but where another exec began."""
        rows = live.changed_processes()
        phases = rows.column("phase").cast(pa.string()).to_pylist()
        ended: dict[str, tuple[Process, str]] = {}
        for process, phase in zip(
            self._tree.read(rows, live.table("executables")), phases, strict=True
        ):
            is_over = process.exit_code is not None or process.signal is not None
            if process.end_ns is not None and is_over and process.errno is None:
                ended[process.exec_id] = process, phase
        for process, phase in ended.values():
            if self._watched.is_known(process.instance):
                words = self._words(self._tree.get(process.exec_id) or process)
                yield _Told(process.end_ns or 0, "process", "exit", process.instance, phase,
                            words, {})  # fmt: skip

    def _words(self, process: Process, candidates: int = 1) -> str:
        key = process.exec_id, candidates
        if key not in self._processes:
            kind = self._watched.of_instance(process.instance).subject.kind
            told = self._tree.words(process, kind)
            if candidates > 1:
                told["candidates"] = candidates
            self._processes[key] = _dump(told)
        return self._processes[key]

    # --- connections -------------------------------------------------------------------------

    def _connections(self, live: Live) -> Iterator[_Told]:
        batches = list(live.batches("network"))
        if not batches:
            return
        names, paths = PeerNames.of(live), self._tree.paths(live.table("executables"))
        rows, named = [], []
        for batch in batches:
            for row, name in zip(rows_of(batch), names.of_batch(batch), strict=True):
                if self._watched.is_known(row["instance"]):
                    rows.append(row)
                    named.append(name)
        doers = [self._doer(row, paths) for row in rows]
        others = self._other_ends(rows, doers)
        for row, name, other, (process, candidates) in zip(rows, named, others, doers, strict=True):
            rest: dict[str, Any] = {"peer": peer_words(row, name | other)}
            for field_name in ("tx_bytes", "rx_bytes"):
                if row[field_name] is not None:
                    rest[field_name] = row[field_name]
            rest["count"] = row["connections"]
            rest |= {"first_seen": moment(row["first"]), "last_seen": moment(row["last"])}
            activity = _ACTIVITIES[row["direction"]] if row["connections"] else "traffic"
            words = None if process is None else self._words(process, candidates)
            yield _Told(row["first"], "network", activity, row["instance"], row["phase"], words,
                        rest)  # fmt: skip

    def _other_ends(
        self, rows: Sequence[Mapping[str, Any]], doers: Sequence[tuple[Process | None, int]]
    ) -> list[dict[str, Any]]:
        """Return for each row who its other end is, where that was seen by now; else nothing."""
        for row, (process, candidates) in zip(rows, doers, strict=True):
            cookie = row["cookie"] if row["direction"] == "out" else row["peer_cookie"]
            if cookie is not None and row["direction"] in self._ends:
                ends = self._ends[row["direction"]]
                ends[cookie] = self._end(row, process if candidates == 1 else None)
                if len(ends) > _ENDS:
                    del ends[next(iter(ends))]
        others = []
        for row in rows:
            is_out = row["direction"] == "out"
            cookie = row["cookie"] if is_out else row["peer_cookie"]
            others.append(self._ends["in" if is_out else "out"].get(cookie, {}))
        return others

    def _end(self, row: Mapping[str, Any], process: Process | None) -> dict[str, Any]:
        whose = self._watched.whose(row["instance"])
        subject = whose.subject
        names = (subject.namespace, subject.kind, subject.name)
        told = {
            "workload": "/".join(name for name in names if name),
            "container_id": whose.container_id,
            "exec_id": process.exec_id if process else None,
        }
        return {name: value for name, value in told.items() if value is not None}

    def _questions(self, live: Live, now_ns: int) -> Iterator[_Told]:
        batches = list(live.batches("dns"))
        if not batches:
            return
        paths = self._tree.paths(live.table("executables"))
        for row in (row for batch in batches for row in rows_of(batch)):
            if not self._watched.is_known(row["instance"]):
                continue
            process, candidates = self._doer(row | {"first": now_ns, "last": now_ns}, paths)
            words = None if process is None else self._words(process, candidates)
            yield _Told(now_ns, "network", "dns", row["instance"], row["phase"], words,
                        {"dns": dns_words(row)})  # fmt: skip

    def _doer(
        self, row: Mapping[str, Any], paths: Mapping[int, bytes]
    ) -> tuple[Process | None, int]:
        """Return who did it, and of how many that ran the same one did."""
        key = row["instance"], paths.get(row["exe"], b"")
        if key not in self._doers:
            times = row["first"], row["last"]
            process = self._tree.doer(*key, *times) if key[1] else None
            number = self._tree.candidates(process, *times) if process else 1
            self._doers[key] = process, number
        return self._doers[key]

    def _head(self, instance: int) -> str:
        if instance not in self._heads:
            whose = self._watched.whose(instance)
            root = self._tree.root(instance) if whose.container_id is not None else None
            told: dict[str, Any] = {
                "workload": whose.subject.model_dump(mode="json", exclude_none=True),
                "instance_key": whose.instance_key,
                "container_id": whose.container_id,
                "instance": whose.instance and whose.instance.model_dump(exclude_none=True),
                "container_root": root and root.model_dump(exclude_none=True),
            }
            known = {name: value for name, value in told.items() if value is not None}
            self._heads[instance] = _dump(known)[1:-1]
        return self._heads[instance]
