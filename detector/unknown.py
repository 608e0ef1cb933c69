"""Workloads that no baseline is for: told once each, or recorded so that one can be learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.findings import Findings
from detector.live import Live
from detector.sighting import Sighting
from detector.watched import Watched, Workload
from ethogram.contracts.columns import Values, batch_of
from ethogram.contracts.escape import escape
from ethogram.contracts.tables import TABLES
from ethogram.indicators.protocol import Technique
from profiler.sink import Sink

__all__ = ["RULE", "OnlyUnknown", "UnknownWorkloads"]

RULE = "unknown-workload"
# Of a container that just began, its own first program is waited for so long.
_ENTRY_NS = 5 * 10**9
_MOST_TOLD = 50_000
_SANDBOX = "POD"
_HAS_WORKLOAD = frozenset(
    name for name, table in TABLES.items()
    if any(column.name == "workload" for column in table.columns)
)  # fmt: skip


# --- alert ----------------------------------------------------------------------------------------


class UnknownWorkloads:
    """Tells of each container's workload that no baseline is for, once, whatever its replicas.

    What runs on the host itself is not told of, nor a pod's sandbox: neither has an image that
    somebody rolled out.
    """

    def __init__(self, watched: Watched, findings: Findings) -> None:
        self._watched = watched
        self._findings = findings
        self._told: dict[str, None] = {}  # keys of workloads, the oldest first
        self._since_ns: dict[str, int] = {}  # when those that are waited for were first seen

    def take(self, live: Live) -> None:
        """Tell of those that are new in the window of *live*."""
        new = [
            one for one in self._watched.unknown() if one.key not in self._told and _is_told_of(one)
        ]
        windows = live.window("windows")
        if not new or not windows.num_rows:
            return
        now_ns = int(windows.column("end").cast(pa.int64())[0].as_py())
        for workload in new:
            since = self._since_ns.setdefault(workload.key, now_ns)
            instance = min(workload.living)
            row = self._watched.row_of(instance)
            entry = _entry(live, instance)
            if entry is None and row["observed"] == "live" and now_ns - since < _ENTRY_NS:
                continue
            sighting = _sighting(workload, row, entry, _started_ns(live, instance), now_ns)
            whose, before = self._watched.whose(instance), self._findings.total
            if not self._findings.was_told(sighting, whose):
                self._findings.take(sighting, whose, now_ns)
            workload.findings += self._findings.total - before
            self._remember(workload.key)
        waiting = {one.key for one in new}
        self._since_ns = {key: ns for key, ns in self._since_ns.items() if key in waiting}

    def _remember(self, key: str) -> None:
        del self._since_ns[key]
        self._told[key] = None
        if len(self._told) > _MOST_TOLD:
            del self._told[next(iter(self._told))]


def _is_told_of(workload: Workload) -> bool:
    row = workload.row
    return (
        workload.is_container
        and bool(workload.living)
        and row["state"] != "pending"
        and row["container"] != _SANDBOX
    )


def _entry(live: Live, instance: int) -> dict[str, Any] | None:
    """Return the oldest process of *instance* that is its own, not its container runtime's."""
    rows = live.table("processes")
    is_own = pc.and_(
        pc.equal(rows.column("instance"), pa.scalar(instance, pa.uint32())),
        pc.and_(
            pc.is_null(rows.column("errno")),
            pc.invert(pc.is_in(rows.column("phase").cast(pa.string()), pa.array(["runtime"]))),
        ),
    )
    rows = rows.filter(is_own)
    if not rows.num_rows:
        return None
    first = pc.sort_indices(rows.column("start"))[0].as_py()
    names = ("exec_id", "exe", "argv", "phase")
    row = {name: rows.column(name)[first].as_py() for name in names}
    executables = live.table("executables")
    path = executables.filter(pc.equal(executables.column("exe"), row["exe"])).column("path")
    return row | {"path": path[0].as_py() if len(path) else None}


def _started_ns(live: Live, instance: int) -> int:
    rows = live.table("instances")
    mine = rows.filter(pc.equal(rows.column("instance"), pa.scalar(instance, pa.uint32())))
    return int(mine.column("started").cast(pa.int64())[0].as_py())


def _sighting(
    workload: Workload,
    row: Mapping[str, Any],
    entry: Mapping[str, Any] | None,
    started_ns: int,
    now_ns: int,
) -> Sighting:
    is_live = row["observed"] == "live"
    image = workload.subject.image or "of no known image"
    digest = workload.subject.image_digest
    path = escape(entry["path"]) if entry and entry["path"] else None
    parts = [f"image {image}" if workload.subject.image else image]
    parts += [digest] if digest and digest not in image else []
    parts += [f"entry {path}"] if path else []
    return Sighting(
        layer="deviation",
        rule=RULE,
        title="Workload without a baseline",
        reason="no baseline is for it, so that nothing it does can stray; indicators alone judge it"
        if is_live
        else "no baseline is for it, so that nothing it does can stray; graded low, because it ran "
        "before the watch began",
        severity="medium" if is_live else "low",
        attack=(Technique("T1610"),),
        instance=row["instance"],
        phase=entry["phase"] if entry else "unknown",
        dimension="workload",
        observed=", ".join(parts),
        exe=None,
        exec_id=entry["exec_id"] if entry else None,
        first_ns=min(now_ns, started_ns),
        last_ns=now_ns,
        count=1,
        identity="unknown",
    )


# --- record ---------------------------------------------------------------------------------------


class OnlyUnknown:
    """A sink that hands on what workloads did that no baseline is for.

    It comes after *live*, which has the window judged: whom a baseline is for is known then. What
    says who somebody is comes once there is something to say: rows of a workload whose baseline
    went begin with it and its processes that live.
    """

    def __init__(self, sink: Sink, live: Live, watched: Watched) -> None:
        self._sink, self._live, self._watched = sink, live, watched
        self._rows: list[tuple[str, pa.RecordBatch]] = []
        self._begun: set[int] = set()

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Keep rows of *table* until the window is judged."""
        batch = batch_of(TABLES[table], columns)
        if batch.num_rows:
            self._rows.append((table, batch))

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        """Do nothing: rows go on when the window ends."""

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """Hand on the rows of the window, of those who are unknown now."""
        unknown = {one.row["workload"] for one in self._watched.unknown()}
        new = unknown - self._begun
        self._begun |= new
        for table, batch in [*self._who(new), *self._rows]:
            rows = batch
            if table in _HAS_WORKLOAD:
                # A name that came later, the end of an instance: also of those with a baseline now.
                is_about = table in {"workloads", "instances"}
                rows = _of(batch, self._begun if is_about else unknown)
            if rows.num_rows:
                self._sink.append(table, dict(zip(rows.schema.names, rows.columns, strict=True)))
        self._rows.clear()
        self._sink.flush(between=between)

    def _who(self, new: set[int]) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yield who the *new* workloads are, as far as earlier windows said it."""
        if not new:
            return
        written = [batch.column("exec_id") for table, batch in self._rows if table == "processes"]
        for table in ("workloads", "instances", "processes"):
            known = self._live.table(table)
            if table == "processes" and written:
                again = pc.is_in(known.column("exec_id"), value_set=pa.chunked_array(written))
                known = known.filter(pc.invert(again))
            for batch in known.to_batches():
                yield table, _of(batch, new)


def _of(batch: pa.RecordBatch, workloads: set[int]) -> pa.RecordBatch:
    """Return the rows of *batch* that are of *workloads*, or of nobody."""
    column = batch.column("workload")
    is_theirs = pc.is_in(column, value_set=pa.array(sorted(workloads), column.type))
    return batch.filter(pc.or_(is_theirs, pc.is_null(column)))
