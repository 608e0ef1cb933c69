"""The window that is open now, as a source of rows: what the learner reads of a recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.columns import Values, batch_of
from ethogram.contracts.manifest import Manifest
from ethogram.contracts.tables import TABLES
from learner.peers import current_addresses

__all__ = ["Live"]

# What rows of later windows refer to; everything else is about its own window alone.
_KEPT = {
    "executables": "exe",
    "workloads": "workload",
    "instances": "instance",
    "processes": "exec_id",
    "addresses": None,
    "windows": "window",
}
# Rows whose workload gets its name late are of windows that are long over.
_WINDOWS = 1000
# Nothing comes any more of an instance that ended so long ago, and three windows.
_SETTLED_NS = 60 * 10**9


class Live:
    """A sink whose open window can be read. *judge* gets it, whole, when the window ends.

    It is to run for months, and keeps what rows may still refer to: processes and instances that
    live, workloads that have such instances, the last windows.

    A process is in `batches("processes")` once, in the window in which it began. It leaves
    `table("processes")` a window after the one in which it ended: what it did last may be told of
    then. A failed exec is no process. An instance leaves `table("instances")` a while after its
    end, and comes back with a new row.
    """

    def __init__(
        self, manifest: Manifest, judge: Callable[[Live, Callable[[], None]], None]
    ) -> None:
        self.manifest = manifest
        self._judge = judge
        self._rows: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        self._changed: list[pa.RecordBatch] = []
        self._ended = pa.array([], pa.string())  # ids of processes that ended before this window
        # The workloads that live, and of which tables that was said.
        self._lived: tuple[pa.Table, pa.Table, pa.Table] | None = None
        self._kept = {name: TABLES[name].arrow_schema().empty_table() for name in _KEPT}

    # --- as a sink ---------------------------------------------------------------------------

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        """Take rows of *table* in the open window; see `profiler.sink.Sink`."""
        batch = batch_of(TABLES[table], columns)
        if not batch.num_rows:
            return
        new = batch
        if table == "processes":
            self._changed.append(batch)
            new = self._not_seen(batch)
        if table in _KEPT:
            self._keep(table, batch)
        if new.num_rows:
            self._rows[table].append(new)

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        """Have the window judged, and begin the next one."""
        self._judge(self, between or _nothing)
        ended = self._kept["windows"].column("end").cast(pa.int64())
        self._rows.clear()
        self._changed.clear()
        self._forget(pc.max(ended).as_py() or 0)

    def look(
        self, span: Mapping[str, Values], *, between: Callable[[], None] | None = None
    ) -> None:
        """Have what came since the last look judged: the window goes on, and has no row yet."""
        self._keep("windows", batch_of(TABLES["windows"], span))
        self._judge(self, between or _nothing)
        self._rows.clear()
        self._changed.clear()

    def _forget(self, now_ns: int) -> None:
        """Let go of what no later row refers to; every table becomes one chunk again."""
        processes, instances = self._kept["processes"], self._kept["instances"]
        names, has_ended = processes.column("exec_id"), pc.is_valid(processes.column("end"))
        had_ended = pc.is_in(names, value_set=self._ended)
        is_over = pc.or_(pc.and_(has_ended, had_ended), pc.is_valid(processes.column("errno")))
        self._ended = names.filter(has_ended).combine_chunks()
        if pc.any(is_over).as_py():
            self._kept["processes"] = processes.filter(pc.invert(is_over))
        before_ns = now_ns - max(_SETTLED_NS, 3 * self.manifest.window_ms * 10**6)
        ended = pc.fill_null(instances.column("ended").cast(pa.int64()), now_ns)
        is_here = pc.greater_equal(ended, before_ns)
        if pc.any(pc.invert(is_here)).as_py():
            self._kept["instances"] = instances.filter(is_here)
        self._kept["windows"] = self._kept["windows"][-_WINDOWS:]
        addresses = self._kept["addresses"]
        if addresses.column("valid_to").null_count < addresses.num_rows:
            current = current_addresses(addresses)
            until = pc.fill_null(current.column("valid_to").cast(pa.int64()), now_ns)
            self._kept["addresses"] = current.filter(pc.greater_equal(until, before_ns))
        for name in self._kept:
            self._whole(name)

    def _whole(self, name: str) -> pa.Table:
        """Return the kept table *name* in one piece: the same one until its rows change."""
        rows = self._kept[name]
        if rows.column(0).num_chunks > 1:
            rows = self._kept[name] = rows.combine_chunks()
        return rows

    def _not_seen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the processes of *batch* that were not given out before."""
        known = self._kept["processes"].column("exec_id").combine_chunks()
        return batch.filter(pc.invert(pc.is_in(batch.column("exec_id"), value_set=known)))

    def _keep(self, name: str, batch: pa.RecordBatch) -> None:
        """Add *batch* to what is kept; a row replaces the one with its key."""
        key, before = _KEPT[name], self._kept[name]
        if key is not None and before.num_rows:
            replaced = pc.is_in(before.column(key), value_set=batch.column(key))
            before = before.filter(pc.invert(replaced))
        self._kept[name] = pa.concat_tables([before, pa.Table.from_batches([batch])])

    # --- as a source -------------------------------------------------------------------------

    def table(self, name: str) -> pa.Table:
        """Return what is known of *name*: all of it for what rows refer to, else the window's.

        What is known is the same table until it changes.
        """
        if name not in _KEPT:
            return self.window(name)
        return self._living() if name == "workloads" else self._whole(name)

    def _living(self) -> pa.Table:
        """Return the workloads that instances are of."""
        rows, instances = self._whole("workloads"), self._whole("instances")
        if self._lived is None or self._lived[0] is not rows or self._lived[1] is not instances:
            own = pc.is_in(rows.column("workload"), value_set=instances.column("workload"))
            self._lived = rows, instances, rows.filter(own).combine_chunks()
        return self._lived[2]

    def window(self, name: str) -> pa.Table:
        """Return the rows of *name* that are new in this window."""
        batches = self._rows.get(name)
        return pa.Table.from_batches(batches) if batches else _empty(name)

    def changed_processes(self) -> pa.Table:
        """Return the processes that began or ended in this window, as they are now."""
        return pa.Table.from_batches(self._changed) if self._changed else _empty("processes")

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of *name* that are new in this window."""
        yield from self._rows.get(name, [])


@cache
def _empty(name: str) -> pa.Table:
    return TABLES[name].arrow_schema().empty_table()


def _nothing() -> None:
    pass
