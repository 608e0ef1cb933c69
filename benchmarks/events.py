"""How many events a second a watch can tell: from the rows of a window to lines in a spool.

The rows are made up: a build that starts processes without end, and a server with clients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.progress import say
from benchmarks.report import Column, Part, Table
from detector.events import Events, WantedEvents
from detector.library import Library
from detector.live import Live
from detector.processes import ProcessTree
from detector.sinks.spool import SpoolWriter
from detector.states import States
from detector.watched import Watched
from ethogram.contracts.event import EVENT_KINDS, EventKind
from ethogram.contracts.manifest import Manifest

__all__ = ["measure"]

_BEGAN_NS = 1_767_607_200 * 10**9
_WINDOW_NS = 10**9
_DEPTH = 6  # ancestors of each process


def measure(sample: Path, directory: Path, *, rows: int, rounds: int) -> Part:
    """Return events a second for windows of *rows* processes or connections, best of *rounds*."""
    say(f"events: windows of {rows:,} rows")
    made: list[tuple[str, int, float]] = []
    for name, tables in (("processes", _processes), ("connections", _connections)):
        told = [_Told(sample, directory / f"{name}{number}", tables, rows)
                for number in range(rounds)]  # fmt: skip
        for stage in ("rows to lines", "lines to a spool"):
            seconds = min(one.seconds[stage] for one in told)
            count = told[0].count
            made.append((f"{name}: {stage}", count, count / seconds))
    columns = (
        Column("stage"),
        Column("events", "count"),
        Column("events a second", "rate"),
    )
    part = Part("events", "What events cost", f"processor time, least of {rounds} rounds")
    part.tables.append(Table(columns, tuple(made)))
    return part


class _Told:
    """One window, told once: *seconds* by stage, and how many events it had."""

    def __init__(
        self, sample: Path, place: Path, tables: Callable[[int], dict[str, Any]], rows: int
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.count = 0
        self._place = place
        tree = ProcessTree()
        watched = Watched(Library([]), States(), host_id="0" * 32, on_state=lambda _: None)
        manifest = Manifest.model_validate_json((sample / "manifest.json").read_bytes())
        events = Events(tree, watched, WantedEvents(frozenset(EVENT_KINDS), self._take), run="run")

        def judge(live: Live, between: Callable[[], None]) -> None:
            tree.take(live.changed_processes(), live.table("executables"))
            watched.take(live, now_ns=_BEGAN_NS + _WINDOW_NS)
            began = time.process_time()
            events.take(live, _BEGAN_NS + _WINDOW_NS, between)
            taken = time.process_time() - began
            self.seconds["rows to lines"] = taken - self.seconds["lines to a spool"]

        live = Live(manifest, judge)
        for name, columns in tables(rows).items():
            live.append(name, columns)
        live.flush()

    def _take(self, lines: Mapping[EventKind, Sequence[str]], _: int) -> None:
        began = time.process_time()
        spool = SpoolWriter(self._place, 1 << 30)
        for some in lines.values():
            self.count += len(some)
            spool.add_all(some)
        spool.close()
        self.seconds["lines to a spool"] = time.process_time() - began


def _base(processes: int) -> dict[str, dict[str, list[Any]]]:
    numbers = range(processes)
    ids = [f"0011223344{number:014x}" for number in numbers]
    parents = [None if not number % _DEPTH else ids[number - 1] for number in numbers]
    each: dict[str, Any] = {
        "window": 0, "workload": 1, "instance": 1, "phase": "steady", "ns_tgid": 1, "exe": 1,
        "cwd": b"/usr/src/app", "flags": 0, "uid": 1000, "euid": 1000, "gid": 1000, "egid": 1000,
        "loginuid": 4294967295, "sessionid": 4294967295, "pgid": 7, "sid": 7,
        "stdio": ["null", "pipe", "pipe"], "observed": "live", "signal": None, "errno": None,
        "argv": [b"cc1", b"-quiet", b"-I", b"include", b"-o", b"/tmp/ccXXXXXX.s", b"main.c"],
        "end": _BEGAN_NS + _WINDOW_NS, "exit_code": 0, "session_exec_id": ids[0],
    }  # fmt: skip
    return {
        "workloads": {
            "workload": [1], "namespace": ["shop"], "kind": ["Deployment"], "name": ["checkout"],
            "container": ["app"], "container_kind": ["main"], "labels": [{}], "selector": [{}],
            "image": ["registry.example/shop/app:1.2"], "image_digest": ["sha256:" + "a" * 64],
            "source": ["cri"], "state": ["resolved"],
        },
        "instances": {
            "instance": [1], "workload": [1], "runtime_id": ["c" * 64], "cgroup_id": [7],
            "started": [_BEGAN_NS], "observed": ["live"], "runtime": ["runc"],
            "pod_uid": ["0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f"],
        },
        "executables": {"exe": [1], "path": [b"/usr/libexec/gcc/x86_64-linux-gnu/13/cc1"]},
        "processes": {name: [value] * processes for name, value in each.items()}
        | {
            "exec_id": ids, "parent_exec_id": parents, "fork_parent_exec_id": parents,
            "tgid": list(range(1, processes + 1)),
            "start": [_BEGAN_NS + number for number in numbers],
        },
    }  # fmt: skip


def _processes(rows: int) -> dict[str, dict[str, list[Any]]]:
    return _base(rows)


def _connections(rows: int) -> dict[str, dict[str, list[Any]]]:
    each: dict[str, Any] = {
        "window": 0, "workload": 1, "instance": 1, "phase": "steady", "exe": 1, "direction": "in",
        "family": 2, "type": 1, "protocol": 6, "local_addr": bytes([10, 0, 0, 11]),
        "local_port": 80, "name": None, "tx_bytes": 1000, "rx_bytes": 100, "connections": 3,
        "first": _BEGAN_NS, "last": _BEGAN_NS + 1,
    }  # fmt: skip
    return _base(_DEPTH) | {
        "network": {name: [value] * rows for name, value in each.items()}
        | {
            "peer_addr": [bytes([10, 1, *divmod(number % 65536, 256)]) for number in range(rows)],
            "cookie": list(range(rows)),
        }
    }  # fmt: skip
