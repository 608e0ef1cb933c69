"""Events of a made-up container, as a watch tells them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.events import WantedEvents
from detector.sinks.protocol import Record
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.event import EVENT_KINDS, EventKind
from ethogram.contracts.flags import ProcessFlag
from tests.baselines import make_baseline
from tests.replay import Replay
from tests.shop import START_NS
from tests.sinks import HOSTILE

__all__ = ["EXECUTABLES", "INSTANCES", "WORKLOADS", "Told", "every_event", "process"]

WORKLOADS = [
    {"workload": 1, "namespace": "shop", "kind": "Deployment", "name": "checkout",
     "container": "nginx", "image": "nginx:1.27", "image_digest": "sha256:" + "a" * 64},
    {"workload": 2, "kind": "Unit", "name": "client.service"},
]  # fmt: skip
INSTANCES = [
    {"instance": 1, "workload": 1, "runtime_id": "c" * 64, "cgroup_id": 7, "runtime": "runc",
     "pod_uid": "0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f"},
    {"instance": 2, "workload": 2, "runtime_id": "client.service/1"},
]  # fmt: skip
EXECUTABLES = [
    {"exe": 0, "path": b""},
    {"exe": 1, "path": b"/usr/sbin/nginx", "dev": 43, "ino": 9001, "nlink": 1, "upper": False},
    {"exe": 2, "path": HOSTILE.encode(), "nlink": 0, "memfd": True, "upper": True},
    {"exe": 3, "path": b"/usr/bin/curl"},
]  # fmt: skip
Rows = Iterable[Mapping[str, Any]]


def process(exec_id: str, parent: str | None = None, **columns: Any) -> dict[str, Any]:
    """Return a row of table `processes`."""
    return {
        "workload": 1, "instance": 1, "exec_id": exec_id, "parent_exec_id": parent,
        "fork_parent_exec_id": parent, "session_exec_id": "main", "tgid": 4711, "ns_tgid": 1,
        "exe": 1, "uid": 33, "gid": 33, "argv": [b"nginx", HOSTILE.encode()], "start": START_NS,
    } | columns  # fmt: skip


class Told:
    """A watch that is asked for events, and what it told; *lines* are by kind."""

    def __init__(self, place: Path, kinds: Iterable[EventKind] = EVENT_KINDS) -> None:
        place.mkdir(exist_ok=True, parents=True)
        (place / "other.baseline.yaml").write_text(dump_baseline(make_baseline("read")))
        self.lines: dict[str, list[str]] = defaultdict(list)
        self.dropped = 0
        self._replay = Replay(place)
        self._replay.judge.tell_events(WantedEvents(frozenset(kinds), self._take), run="run")

    def _take(self, lines: Mapping[EventKind, Sequence[str]], dropped: int) -> None:
        self.dropped += dropped
        for kind, some in lines.items():
            self.lines[kind] += some

    def window(self, number: int, **tables: Rows) -> list[dict[str, Any]]:
        """Play a window; return its events, processes first."""
        self.lines.clear()
        self._replay.rows(number, **tables)
        return [json.loads(line) for kind in EVENT_KINDS for line in self.lines[kind]]


def every_event(place: Path) -> list[Record]:
    """Return one event of each activity at least, as a sink gets it."""
    told = Told(place)
    later = START_NS + 10**9
    forked = {"flags": int(ProcessFlag.FORKED)}
    rows = [
        process("main", observed="snapshot"),
        process("a", "main", exe=2, stdio=["tty", "tty", "tty"], loginuid=1000, sessionid=3),
        process("b", "a", **forked),
        process("a-failed", "a", errno=13, script=HOSTILE.encode()),
        process("a2", "a", end=later, exit_code=3),
        process("a3", "a", end=later, signal=9),
        process("client", exe=3, workload=2, instance=2, session_exec_id="client"),
    ]
    inet = {"family": 2, "type": 1, "protocol": 6, "connections": 1, "workload": 1, "instance": 1}
    nginx, client = bytes([10, 0, 0, 11]), bytes([10, 0, 0, 21])
    network = [
        inet | {"exe": 1, "direction": "in", "local_addr": nginx, "local_port": 80,
                "peer_addr": client, "peer_cookie": 5, "rx_bytes": 10, "tx_bytes": 20},
        inet | {"exe": 3, "direction": "out", "peer_addr": nginx, "peer_port": 80, "cookie": 5,
                "instance": 2, "workload": 2, "name": "checkout.shop", "name_trust": "resolver"},
        inet | {"exe": 1, "direction": "listen", "local_addr": bytes(16), "family": 10,
                "local_port": 80},
        inet | {"exe": 2, "direction": "out", "peer_addr": bytes([203, 0, 113, 7]),
                "peer_port": 4444, "nat_addr": nginx, "nat_port": 1, "connections": 0},
        inet | {"exe": 1, "direction": "out", "family": 1, "protocol": 0,
                "unix_path": b"\0" + HOSTILE.encode()},
        inet | {"exe": 0, "direction": "bind", "family": 17, "type": 3, "protocol": 3},
    ]  # fmt: skip
    dns = [{"workload": 1, "instance": 1, "exe": 1, "qname": HOSTILE.encode(), "qtype": 28,
            "rcode": 0, "answers": [bytes(16)], "resolver": nginx, "trusted": False},
           {"workload": 1, "instance": 1, "exe": 1, "qname": b"x.example", "qtype": 65,
            "rcode": 17, "answers": [], "resolver": nginx, "trusted": True}]  # fmt: skip
    events = told.window(
        0, workloads=WORKLOADS, instances=INSTANCES, executables=EXECUTABLES, processes=rows,
        network=network, dns=dns,
    )  # fmt: skip
    return [Record(True, json.dumps(one, ensure_ascii=False), one) for one in events]
