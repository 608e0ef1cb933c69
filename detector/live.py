"""The window that is open now, as a source of rows: what the learner reads of a recording."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.columns import Values, batch_of
from ethogram.contracts.manifest import Manifest
from ethogram.contracts.tables import TABLES

__all__ = ["Live"]

# What rows of later windows refer to; everything else is about its own window alone.
_KEPT = {
    "executables": "exe",
    "workloads": "workload",
    "instances": "instance",
    "processes": "exec_id",
    "addresses": None,
}


class Live:
    """A sink whose open window can be read. *judge* gets it, whole, when the window ends.

    A process is in `batches("processes")` once, in the window in which it began. It leaves
    `table("processes")` after the window in which it ended.
    """

    def __init__(
        self, manifest: Manifest, judge: Callable[[Live, Callable[[], None]], None]
    ) -> None:
        self.manifest = manifest
        self._judge = judge
        self._rows: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        self._changed: list[pa.RecordBatch] = []
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
        self._rows.clear()
        self._changed.clear()
        ended = pc.is_valid(self._kept["processes"].column("end"))
        self._kept["processes"] = self._kept["processes"].filter(pc.invert(ended))

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
        """Return what is known of *name*: all of it for what rows refer to, else the window's."""
        if name in _KEPT:
            return self._kept[name].combine_chunks()
        return self.window(name)

    def window(self, name: str) -> pa.Table:
        """Return the rows of *name* that are new in this window."""
        schema = TABLES[name].arrow_schema()
        return pa.Table.from_batches(self._rows.get(name, []), schema)

    def changed_processes(self) -> pa.Table:
        """Return the processes that began or ended in this window, as they are now."""
        return pa.Table.from_batches(self._changed, TABLES["processes"].arrow_schema())

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of *name* that are new in this window."""
        yield from self._rows.get(name, [])


def _nothing() -> None:
    pass
