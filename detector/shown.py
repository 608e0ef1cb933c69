"""What rows of one table show, as the summary of a recording would have it, of a window alone.

The learner groups millions of rows at a time; a window has few, and here each costs little, and
nothing where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ethogram.contracts.tables import ENUMS
from learner.behaviour import Behaviour, Columns, group_columns
from learner.context import Context

__all__ = ["Shown", "one_batch", "shown"]

_PHASES = ENUMS["phase"]
_Key = tuple[Any, ...]


@dataclass(slots=True)
class Shown:
    """What an instance did, how often and when, in nanoseconds UTC; *rows* are those that say so.

    *arch* is the word of `ENUMS`, null where the dimension has none.
    """

    instance: int
    workload: int
    phase: str
    dimension: str
    arch: str | None
    key: bytes
    exe: bytes | None
    count: int
    first_ns: int
    last_ns: int
    rows: list[int]


def one_batch(rows: pa.Table) -> pa.RecordBatch:
    """Return *rows*, of which there are some, as one batch."""
    (batch,) = rows.combine_chunks().to_batches()
    return batch


def shown(context: Context, behaviour: Behaviour, batch: pa.RecordBatch) -> Iterator[Shown]:
    """Yield what *batch*, rows of the table of *behaviour*, shows: each act once.

    Rows that name a workload or an instance which *context* lacks say nothing.
    """
    columns = behaviour.prepare(context, batch)
    own = {name: _list(columns[name]) for name in group_columns(columns)}
    acts: dict[_Key, Shown] = {}
    named: dict[_Key, tuple[str, bytes]] = {}
    for row, (whose, values, (count, first, last)) in enumerate(
        zip(_whose(context, columns, batch), zip(*own.values(), strict=True),
            _measures(context, behaviour, columns, batch), strict=True)
    ):  # fmt: skip
        if whose is None:
            continue
        given = dict(zip(own, values, strict=True))
        if values not in named:
            told = {name: value for name, value in given.items() if name != "exe_path"}
            named[values] = behaviour.name(context, told)
        dimension, key = named[values]
        arch, exe = given.get("arch"), given.get("exe_path")
        # To bind and to listen are two acts with one key.
        act = (*whose, arch, exe, given.get("direction"), dimension, key)
        before = acts.get(act)
        if before is None:
            acts[act] = Shown(
                whose[0], whose[1], _PHASES[whose[2]], dimension,
                None if arch is None else ENUMS["arch"][arch], key,
                None if exe is None else context.paths[exe], count, first, last, [row],
            )  # fmt: skip
            continue
        before.count += count
        before.first_ns, before.last_ns = min(before.first_ns, first), max(before.last_ns, last)
        before.rows.append(row)
    yield from acts.values()


def _whose(
    context: Context, columns: Columns, batch: pa.RecordBatch
) -> Iterator[tuple[int, int, int] | None]:
    """Yield instance, workload and phase of each row; None for one that does not count."""
    keep = _list(columns["keep"]) if "keep" in columns else [True] * batch.num_rows
    instances, workloads = (batch.column(name).to_pylist() for name in ("instance", "workload"))
    phases = batch.column("phase").indices.to_pylist()
    for is_kept, instance, workload, phase in zip(keep, instances, workloads, phases, strict=True):
        is_known = instance in context.instance_keys and workload in context.workload_keys
        yield (instance, workload, phase) if is_kept and is_known else None


def _measures(
    context: Context, behaviour: Behaviour, columns: Columns, batch: pa.RecordBatch
) -> Iterator[tuple[int, int, int]]:
    """Yield how often, first and last of each row; without times of its own, its window's."""
    rows: Columns = {name: batch.column(name) for name in batch.schema.names} | columns
    calls: list[int | None] = [1] * batch.num_rows
    if behaviour.counted_by in rows:
        calls = _list(rows[behaviour.counted_by])
    elif "calls" in rows:
        calls = _list(rows["calls"])
    if "first" in rows:
        first, last = (_list(rows[name].cast(pa.int64())) for name in ("first", "last"))
    else:
        windows = batch.column("window").to_numpy()
        first = context.windows.start_of(windows).tolist()
        last = context.windows.end_of(windows).tolist()
    yield from zip((one or 0 for one in calls), first, last, strict=True)


def _list(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values
