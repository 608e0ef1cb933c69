"""Findings and spools for tests of sinks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector.sinks.destination import Destination
from detector.sinks.protocol import Record, Sender
from detector.sinks.registry import check
from detector.sinks.spool import SpoolReader, SpoolWriter
from ethogram.contracts.baseline import Subject
from ethogram.contracts.finding import (
    Ancestor,
    Attack,
    Finding,
    FindingEvidence,
    FindingProcess,
    fingerprint_of,
)

__all__ = ["HOSTILE", "SENDER", "WHOLE", "filled", "make_finding", "make_record", "outlet_to"]

SENDER = Sender(host="node-7", version="0.1.0", pid=4711, cluster="prod")
# What `escape` leaves in a name, and each format has a meaning for.
HOSTILE = """/tmp/a"b'c]d[e=f|g<h>&amp;{{ .Labels }}${x}%s<34>1 \\x0a\\x1b[2J,é"""

# Every field that a finding may have besides.
WHOLE: dict[str, Any] = {
    "workload": {"namespace": "shop", "kind": "Deployment", "name": "checkout",
                 "container": "nginx", "container_kind": "main",
                 "image": "registry.example:5000/shop/nginx:1.27",
                 "image_digest": "sha256:" + "a" * 64},
    "instance": {"runtime_id": "3f2a9c81d0b4" * 5, "runtime": "runc",
                 "pod_uid": "0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f",
                 "cgroup_id": 4001, "started": "2026-11-23T05:00:00.000000Z"},
    "container_root": {"exec_id": "e0", "exe": "/usr/sbin/nginx", "pid": 4700},
    "process": {
        "exec_id": "e1", "pid": 4711, "exe": "/usr/bin/dash", "argv": ["sh", "-c", HOSTILE],
        "ancestry": [{"exec_id": "e3", "exe": "/usr/bin/dash", "pid": 4710, "is_fork": True},
                     {"exec_id": "e0", "exe": "/usr/sbin/nginx", "pid": 4700}],
        "more_ancestors": 2, "entry": {"type": "exec", "exec_id": "e3", "exe": "/usr/bin/dash",
                                       "pid": 4710},
        "ns_pid": 17, "parent_exec_id": "e0", "fork_parent_exec_id": "e3", "uid": 33, "euid": 0,
        "gid": 33, "egid": 33, "loginuid": 1000, "sessionid": 3, "pgid": 4711, "sid": 4710,
        "session_leader": {"exec_id": "e3", "exe": "/usr/bin/dash", "pid": 4710},
        "stdio": ["tty", "socket", "pipe"], "has_tty": True, "cwd": "/tmp", "script": "/tmp/x.sh",
        "interpreter": "/bin/sh", "started": "2026-11-23T06:00:00.000000Z",
        "ended": "2026-11-23T06:00:01.000000Z", "exit_code": 0, "was_there_before": True,
        "file": {"dev": 43, "ino": 9003, "ctime": "2026-11-23T05:00:00.000000Z", "nlink": 0,
                 "in_image": False, "memfd": True, "sha256": "b" * 64},
        "candidates": 3,
    },
    "file": {"path": "/tmp/x", "asked": "x", "dev": 43, "ino": 7, "access": "rw",
             "in_image": False, "errno": 13, "is_truncated": True},
    "peer": {"direction": "out", "protocol": "tcp", "address": "203.0.113.7", "port": 4444,
             "local_address": "10.0.0.11", "local_port": 40000, "nat_address": "10.0.0.31",
             "nat_port": 8080, "name": "evil.example", "name_trust": "resolver",
             "kind": "service", "workload": "shop/redis", "container_id": "c" * 64,
             "exec_id": "e9"},
    "dns": {"name": "evil.example", "type": 28, "rcode": 0, "answers": ["203.0.113.7"],
            "resolver": "10.96.0.10", "is_trusted": False},
}  # fmt: skip


def make_finding(number: int = 1, **fields: Any) -> Finding:
    """Return a finding; those of other *number* have other fingerprints."""
    whole = {
        "schema": "ethogram.finding/1",
        "time": "2026-11-23T06:00:01.000000Z",
        "fingerprint": fingerprint_of([str(number)]),
        "layer": "deviation", "rule": "deviation-execs", "title": "Shell outside the baseline",
        "reason": "the baseline never starts it", "severity": "medium",
        "attack": (Attack(technique="T1059.004", version="19"),),
        "workload": Subject(namespace="shop", kind="Deployment", name="checkout",
                            container="nginx"),
        "instance_key": "instance", "container_id": "3f2a9c81d0b4" * 5,
        "process": FindingProcess(
            exec_id="e1", pid=4711, exe="/usr/bin/dash", argv=("sh", "-c", f"id {number}"),
            ancestry=(Ancestor(exec_id="e0", exe="/usr/sbin/nginx"),),
        ),
        "evidence": FindingEvidence(dimension="execs", observed="/usr/bin/dash",
                                    expected=("/usr/sbin/nginx",)),
        "state": "ok", "workload_state": "ok", "phase": "serving",
        "baseline": "shop.baseline.yaml", "first_seen": "2026-11-23T06:00:01.000000Z",
        "last_seen": "2026-11-23T06:00:01.000000Z", "count": 1,
    }  # fmt: skip
    return Finding.model_validate(whole | fields)


def make_record(number: int = 1, *, is_new: bool = True, **fields: Any) -> Record:
    """Return a finding as a sink gets it."""
    finding = make_finding(number, **fields)
    return Record(is_new, finding.line(), finding.model_dump(mode="json", by_alias=True,
                                                             exclude_none=True))  # fmt: skip


def outlet_to(url: str) -> Any:
    """Return the open outlet to *url*."""
    destination = Destination.parse(url)
    return check(destination).open(destination, SENDER)


def filled(directory: Path, numbers: range, limit_bytes: int = 1 << 20) -> SpoolReader:
    """Return the reading end of a spool with findings of these *numbers*."""
    writer = SpoolWriter(directory, limit_bytes)
    for number in numbers:
        assert writer.add(make_finding(number).line(), is_new=True, severity="medium")
    writer.close()
    return SpoolReader(directory)
