"""Rows like those that were judged before: a workload does the same things all day.

What decides about a row is in a few of its columns (`Behaviour.decided_by`; of processes, in nearly
all of them: `alike`), in the baseline of its instance and in what is known of the instance. Where
all that is as it was for a row that nothing was found in, nothing is to be found in this one, and
nobody is asked again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from detector.alike import fed, kinds_of
from detector.library import Known
from detector.live import Live
from detector.shown import one_batch
from learner.behaviour import BEHAVIOURS, Behaviour
from learner.context import Context

__all__ = ["Seen"]

_TABLES = ("syscalls", "files", "network", "dns")
_TABLE_OF = {"execs": "processes", "syscalls": "syscalls", "files": "files", "peers": "network",
             "listens": "network", "dns": "dns"}  # fmt: skip
_BEHAVIOURS = {one.table: one for one in BEHAVIOURS if one.table in _TABLES}
# Some ten MiB where each is a long path; beyond them all are judged anew.
_LIMIT = 20_000

_Row = tuple[Any, ...]


class Seen:
    """Keeps what was judged and found to be nothing, by instance and table."""

    def __init__(self) -> None:
        self._known: dict[int, Known | None] = {}
        self._rows: dict[int, dict[str, set[_Row | bytes]]] = {}
        self._count = 0
        self._new: dict[str, list[tuple[int, _Row]]] = {}
        self._kinds: list[tuple[int, bytes, str]] = []  # of new processes, with their names

    def others(
        self, live: Live, context: Context, instances: Mapping[int, Known | None]
    ) -> dict[str, pa.Table]:
        """Return the rows of the window that are like none before, by table.

        *instances* are those that are judged, with their baselines. `passed` says what became of
        these rows.
        """
        self._forget(live, instances)
        self._new.clear()
        self._kinds.clear()
        others = {
            name: self._others(behaviour, rows, context)
            for name, behaviour in _BEHAVIOURS.items()
            if (rows := live.window(name)).num_rows
        }
        if (rows := live.window("processes")).num_rows:
            others["processes"] = self._processes(live, rows, context)
        return others

    def passed(
        self,
        context: Context,
        found: Iterable[tuple[int, str]],
        processes: Collection[str] = (),
    ) -> None:
        """Remember the rows of the last `others`, but for instances and dimensions of findings.

        Nor *processes*, by `exec_id`: what others do may tell more of them. That is each shell and
        interpreter that takes its commands from a pipe.
        """
        troubled = {(instance, _TABLE_OF.get(dimension)) for instance, dimension in found}
        for instance, kind, name in self._kinds:
            if (instance, "processes") not in troubled and name not in processes:
                self._remember(instance, "processes", kind)
        self._kinds.clear()
        for name, rows in self._new.items():
            columns = _BEHAVIOURS[name].decided_by
            at = columns.index("exe") if "exe" in columns else None
            for instance, row in rows:
                if (instance, name) in troubled:
                    continue
                # Of an executable without a path more may be known when it does the same again.
                if at is not None and row[at] and row[at] not in context.path_of_exe:
                    continue
                self._remember(instance, name, row)
        self._new.clear()

    def _remember(self, instance: int, name: str, row: _Row | bytes) -> None:
        if self._count >= _LIMIT:
            self._rows.clear()
            self._count = 0
        rows = self._rows.setdefault(instance, {}).setdefault(name, set())
        self._count += row not in rows
        rows.add(row)

    def _forget(self, live: Live, instances: Mapping[int, Known | None]) -> None:
        """Forget what other baselines said, and what was said of instances that changed or went."""
        gone = [
            one for one in self._rows
            if one not in instances or instances[one] is not self._known.get(one)
        ]  # fmt: skip
        gone += live.window("instances").column("instance").to_pylist()
        for instance in gone:
            for rows in self._rows.pop(instance, {}).values():
                self._count -= len(rows)
        self._known = dict(instances)

    def _others(self, behaviour: Behaviour, table: pa.Table, context: Context) -> pa.Table:
        """Return those of *table* that were not seen, and keep them until `passed`."""
        batch = one_batch(table)
        columns = [_values(batch.column(name)) for name in behaviour.decided_by]
        columns += [each.tolist() for each in behaviour.decided_also(context, table)]
        instances = batch.column("instance").to_pylist()
        rows = list(zip(*columns, strict=True))
        is_new = self._are_new(behaviour.table, instances, rows)
        self._new[behaviour.table] = [
            (instance, row)
            for instance, row in compress(zip(instances, rows, strict=True), is_new)
            if instance in self._known
        ]
        return _those(table, is_new)

    def _processes(self, live: Live, table: pa.Table, context: Context) -> pa.Table:
        """Do what `_others` does, of processes."""
        batch = one_batch(table)
        instances, names = (batch.column(name).to_pylist() for name in ("instance", "exec_id"))
        kinds = kinds_of(batch, live, context)
        is_new = self._are_new("processes", instances, kinds)
        self._kinds = [
            one
            for one in compress(zip(instances, kinds, names, strict=True), is_new)
            if one[0] in self._known
        ]
        return _those(table, fed(batch, is_new))

    def _are_new(
        self, table: str, instances: Iterable[int], rows: Iterable[_Row | bytes]
    ) -> list[bool]:
        none: dict[str, set[_Row | bytes]] = {}
        return [
            row not in self._rows.get(instance, none).get(table, ())
            for instance, row in zip(instances, rows, strict=True)
        ]


def _those(table: pa.Table, chosen: Sequence[bool]) -> pa.Table:
    if all(chosen):
        return table
    return table.take(pa.array(np.flatnonzero(chosen))) if any(chosen) else table.slice(0, 0)


def _values(column: pa.Array) -> list[Any]:
    values: list[Any]
    if pa.types.is_dictionary(column.type):
        values = column.indices.to_pylist()  # batches of a table share one dictionary
    else:
        values = column.to_pylist()
    return values
