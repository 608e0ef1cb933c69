"""Takes one table of a recording, batch by batch, to rows of a summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS, TABLES
from learner.behaviour import Behaviour, Columns, group_columns
from learner.context import Context
from learner.dimensions import canonical, quarantine_key
from learner.doers import Doers
from learner.grouping import group_rows
from learner.rows import new_row, table_of
from learner.taint import Taint

__all__ = ["extract"]

_DIMENSIONS = {name: code for code, name in enumerate(ENUMS["dimension"])}
_TIME = pa.timestamp("ns", tz="UTC")


def extract(
    context: Context, taint: Taint, behaviour: Behaviour, doers: Doers | None = None
) -> pa.Table:
    """Return what the table of *behaviour* shows, as rows of a summary with enums as codes.

    Without *doers* no row says which process did it.

    Rows that name a workload or an instance which the recording lacks are counted as a loss.
    """
    source = _Owned(context, behaviour.table)
    empty = TABLES[behaviour.table].arrow_schema().empty_table().to_batches(max_chunksize=1)
    schema = TABLES[behaviour.table].arrow_schema()
    nothing = empty[0] if empty else pa.RecordBatch.from_pylist([], schema=schema)
    by = tuple(group_columns(behaviour.prepare(context, nothing)))
    batches = (_prepared(context, taint, behaviour, batch, doers) for batch in source.batches())
    groups = group_rows(batches, by)
    losses = table_of(source.losses())
    if not groups.num_rows:
        return losses
    examples = doers.of_groups(behaviour.table, groups) if doers else None
    return pa.concat_tables(
        [_named(context, taint, behaviour, groups, by, examples=examples), losses]
    )


class _Owned:
    """The rows of one table that somebody did, and how many were nobody's."""

    def __init__(self, context: Context, table: str) -> None:
        self._context = context
        self._table = table
        self._workloads = np.array(sorted(context.workload_keys), np.int64)
        self._instances = np.array(sorted(context.instance_keys), np.int64)
        self._nobodys = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._context.recording.batches(self._table):
            known = np.isin(batch.column("workload").to_numpy(), self._workloads)
            known &= np.isin(batch.column("instance").to_numpy(), self._instances)
            self._nobodys += int((~known).sum())
            yield batch if known.all() else batch.filter(pa.array(known))

    def losses(self) -> Iterator[dict[str, Any]]:
        if self._nobodys:
            key = canonical(["malformed", f"summarize {self._table}"])
            yield new_row(self._context, "loss", key, calls=self._nobodys)


def _prepared(
    context: Context,
    taint: Taint,
    behaviour: Behaviour,
    batch: pa.RecordBatch,
    doers: Doers | None,
) -> pa.Table:
    """Return the rows of *batch* that count, with the columns that `group_rows` needs."""
    columns: Columns = {
        "instance": batch.column("instance"),
        "workload": batch.column("workload"),
        "phase": batch.column("phase").indices,
        "indicators": pa.array(taint.bits(behaviour.table, batch)),
        "window": batch.column("window"),
        "process": doers.numbers(behaviour.table, batch)
        if doers
        else pa.nulls(batch.num_rows, pa.int32()),
    } | behaviour.prepare(context, batch)
    if "first" not in columns:
        windows = columns["window"].to_numpy()
        columns["first"] = pa.array(context.windows.start_of(windows)).cast(_TIME)
        columns["last"] = pa.array(context.windows.end_of(windows)).cast(_TIME)
    keep = columns.pop("keep", None)
    table = pa.table(columns)
    return table if keep is None else table.filter(keep)


def _named(
    context: Context,
    taint: Taint,
    behaviour: Behaviour,
    groups: pa.Table,
    by: tuple[str, ...],
    *,
    examples: pa.Array | None,
) -> pa.Table:
    rows = groups.num_rows
    condemned = groups.column("indicators").to_pylist()
    lists = [groups.column(name).to_pylist() for name in by]
    dimensions, keys = [], []
    for bits, values in zip(condemned, zip(*lists, strict=True), strict=True):
        dimension, key = behaviour.name(context, dict(zip(by, values, strict=True)))
        if bits:
            dimension, key = "quarantine", quarantine_key(dimension, key, taint.names(bits))
        dimensions.append(_DIMENSIONS[dimension])
        keys.append(key)
    paths = pa.nulls(rows, pa.binary())
    if "exe_path" in by:
        known = pa.array(context.paths, pa.binary())
        paths = known.take(pa.concat_arrays(groups.column("exe_path").chunks))
    recording_id = context.recording.manifest.recording_id
    return pa.table(
        {
            "recording_id": pa.repeat(pa.scalar(recording_id, pa.string()), rows),
            "instance_key": _looked_up(groups.column("instance"), context.instance_keys),
            "workload_key": _looked_up(groups.column("workload"), context.workload_keys),
            "phase": groups.column("phase"),
            "dimension": pa.array(dimensions, pa.int8()),
            "arch": groups.column("arch") if "arch" in by else pa.nulls(rows, pa.int8()),
            "key": pa.array(keys, pa.binary()),
            "exe_path": paths,
            "windows": groups.column("windows").cast(pa.uint32()),
            "calls": groups.column("calls").cast(pa.uint64()),
            "first": groups.column("first"),
            "last": groups.column("last"),
            "exec_id": pa.nulls(rows, pa.string()) if examples is None else examples,
        }
    )


def _looked_up(numbers: pa.ChunkedArray, names: Any) -> pa.ChunkedArray:
    index = pc.index_in(numbers, value_set=pa.array(list(names), pa.uint32()))
    return pc.take(pa.array(list(names.values()), pa.string()), index)
