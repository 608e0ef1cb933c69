"""What very many findings at once cost: what is told of them, what is folded, and what is dropped.

The rows are made up: one workload, or a hundred, that write a file each that no baseline has, ask
for a name, or connect to a new peer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.progress import say
from benchmarks.report import Column, Part, Table
from detector.judge import Judge
from detector.library import Known, Library
from detector.live import Live
from detector.sinks.spool import SpoolReader, SpoolWriter
from detector.states import States
from detector.watched import Watched
from ethogram.contracts.finding import Finding
from ethogram.contracts.flags import Access
from ethogram.contracts.manifest import Manifest
from ethogram.contracts.tables import TABLES
from tests.baselines import make_baseline
from tests.sinks import make_finding

__all__ = ["measure"]

_BEGAN_NS = 1_767_607_200 * 10**9
_WINDOW_NS = 10**9
_MANY = 100
_SPOOL_BYTES = 64_000_000  # the default
_PATH = b"/etc/cron.d/%d"


def measure(sample: Path, directory: Path, *, number: int, rounds: int) -> Part:
    """Return what *number* findings in one window come to, best of *rounds*."""
    say(f"findings: windows of {number:,}")
    rows: list[tuple[str, int, int, int, float, float]] = []
    for name, tables in (("files", _files), ("names", _names), ("peers", _peers)):
        for workloads in (1, _MANY):
            told = [_Judged(sample, tables(number, workloads), workloads) for _ in range(rounds)]
            seconds = min(one.seconds for one in told)
            words = f"{name} of {workloads} workload{'s' if workloads > 1 else ''}"
            lines = len(told[0].first)
            rows.append((words, number, lines, told[0].counted, seconds, number / seconds))
    columns = (
        Column("in one window"), Column("findings", "count"), Column("told in lines", "count"),
        Column("counted by these", "count"), Column("judging", "seconds"),
        Column("findings a second", "rate"),
    )  # fmt: skip
    part = Part("findings", "Very many findings", f"processor time, least of {rounds} rounds")
    part.tables.append(Table(columns, tuple(rows)))
    part.tables.append(_sent(directory, number))
    return part


class _Judged:
    """One window: the lines that it makes, *counted* by their last ones, and what it takes."""

    def __init__(self, sample: Path, tables: dict[str, dict[str, Any]], workloads: int) -> None:
        names = [{"name": _name(one)} for one in range(workloads)]
        known = [
            Known.of(Path(f"{one['name']}.baseline.yaml"), make_baseline("read", subject=one))
            for one in names
        ]
        watched = Watched(Library(known), States(), host_id="0" * 32, on_state=lambda _: None)
        lines: list[Finding] = []
        judge = Judge(watched, lines.append)
        manifest = Manifest.model_validate_json((sample / "manifest.json").read_bytes())
        live = Live(manifest, judge.judge)
        for name, columns in tables.items():
            live.append(name, _whole(name, columns))
        began = time.process_time()
        live.flush()
        self.seconds = time.process_time() - began
        self.first = {one.fingerprint for one in lines}
        judge.findings.tell_again(_BEGAN_NS + _WINDOW_NS, is_last=True)
        last = {one.fingerprint: one.count for one in lines}
        self.counted = sum(last.values())


def _sent(directory: Path, number: int) -> Table:
    """Return what becomes of as many lines that go to a spool, of the default size and a tenth."""
    lines = [make_finding(one).line() for one in range(number)]
    rows = []
    for size in (_SPOOL_BYTES, _SPOOL_BYTES // 10):
        place = directory / f"spool{size}"
        spool = SpoolWriter(place, size)
        began = time.process_time()
        for line in lines:
            spool.add(line, is_new=True, severity="medium")
        seconds = time.process_time() - began
        spool.close()
        taken = sum(1 for _ in _drained(SpoolReader(place)))
        rows.append((f"{size / 1e6:.1f} MB", number, taken, spool.dropped, number / seconds))
    columns = (
        Column("a spool of"), Column("findings", "count"), Column("kept for the receiver", "count"),
        Column("dropped, and counted", "count"), Column("findings a second", "rate"),
    )  # fmt: skip
    return Table(columns, tuple(rows))


def _drained(reader: SpoolReader) -> Iterator[object]:
    while True:
        records, reader.position = reader.take(500)
        if not records:
            return
        yield from records


# --- rows ------------------------------------------------------------------------------------


def _name(workload: int) -> str:
    return f"shop-{workload}"


def _whole(name: str, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return *columns* with nothing in those that they lack."""
    rows = len(next(iter(columns.values())))
    others = {one.name: one.type for one in TABLES[name].columns if one.name not in columns}
    return {one: [_nothing(kind)] * rows for one, kind in others.items()} | columns


def _nothing(kind: str) -> Any:
    if kind.endswith("?"):
        return None
    return [] if kind.startswith("list") else False if kind == "bool" else 0


def _base(workloads: int) -> dict[str, dict[str, list[Any]]]:
    numbers = list(range(1, workloads + 1))
    each = {
        "namespace": "shop", "kind": "Deployment", "container": "nginx", "container_kind": "main",
        "labels": {}, "selector": {}, "image": "registry.example/app:1", "source": "cri",
        "image_digest": "sha256:" + "a" * 64, "state": "resolved",
    }  # fmt: skip
    return {
        "windows": {
            "window": [0], "start": [_BEGAN_NS], "end": [_BEGAN_NS + _WINDOW_NS],
        },
        "workloads": {name: [value] * workloads for name, value in each.items()}
        | {"workload": numbers, "name": [_name(one - 1) for one in numbers]},
        "instances": {
            "instance": numbers, "workload": numbers, "started": [_BEGAN_NS] * workloads,
            "runtime_id": [f"{one:064x}" for one in numbers], "cgroup_id": numbers,
            "observed": ["live"] * workloads, "runtime": ["runc"] * workloads,
        },
        "executables": {"exe": [1], "path": [b"/usr/sbin/nginx"]},
    }  # fmt: skip


def _rows(number: int, workloads: int, **more: Any) -> dict[str, list[Any]]:
    each = {"window": 0, "phase": "steady", "exe": 1, "first": _BEGAN_NS, "last": _BEGAN_NS} | more
    whose = [1 + one % workloads for one in range(number)]
    return {name: [value] * number for name, value in each.items()} | {
        "workload": whose, "instance": whose,
    }  # fmt: skip


def _files(number: int, workloads: int) -> dict[str, dict[str, list[Any]]]:
    rows = _rows(number, workloads, access=int(Access.WRITE | Access.CREATE), calls=1)
    rows["path"] = [_PATH % one for one in range(number)]
    return _base(workloads) | {"files": rows}


def _names(number: int, workloads: int) -> dict[str, dict[str, list[Any]]]:
    rows = _rows(number, workloads, qtype=1, rcode=0, answers=[], resolver=bytes(4), trusted=True)
    for name in ("first", "last"):
        rows.pop(name)
    rows["qname"] = [b"n%d.example" % one for one in range(number)]
    return _base(workloads) | {"dns": rows}


def _peers(number: int, workloads: int) -> dict[str, dict[str, list[Any]]]:
    rows = _rows(
        number, workloads, direction="out", family=2, type=1, protocol=6, peer_port=443,
        connections=1,
    )  # fmt: skip
    rows["peer_addr"] = [bytes([198, 18, *divmod(one % 65536, 256)]) for one in range(number)]
    return _base(workloads) | {"network": rows}
