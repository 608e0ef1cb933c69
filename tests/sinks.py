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

__all__ = ["HOSTILE", "SENDER", "filled", "make_finding", "make_record", "outlet_to"]

SENDER = Sender(host="node-7", version="0.1.0", pid=4711, cluster="prod")
# What `escape` leaves in a name, and each format has a meaning for.
HOSTILE = """/tmp/a"b'c]d[e=f|g<h>&amp;{{ .Labels }}${x}%s<34>1 \\x0a\\x1b[2J,é"""


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
