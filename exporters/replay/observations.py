"""What a recording holds for a replay: small tables whole, large ones added up as they are read.

Memory is bounded by how many different things were done, not by how often or for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

import pyarrow as pa

from ethogram.contracts.baseline import Dimension
from ethogram.contracts.keys import WorkloadKey, parse_workload_key, workload_key_of
from ethogram.contracts.manifest import Manifest
from ethogram.contracts.reach import not_looked_at
from ethogram.contracts.recording import Recording

__all__ = ["Derivation", "Observations", "Sight"]

# A column, and what makes another one of its values.
Derivation: TypeAlias = tuple[str, Callable[[pa.Array], pa.Array]]

# So many rows are added up at a time.
_PENDING_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class Sight:
    """Where something was first seen: enough to find the process afterwards.

    *exec_id* is the process where the tables name it, *exe* its executable where they name that.
    """

    window: int
    instance: int
    phase: str
    exec_id: str | None = None
    exe: int | None = None


@dataclass(frozen=True, eq=False)
class Observations:
    """One recording, and what was handed in beside it; *name* is how people call it.

    *pods* are objects of Kubernetes, as `kubectl get pods -o json` lists them.
    """

    recording: Recording
    name: str
    pods: Sequence[Mapping[str, Any]] = ()
    _grouped: dict[tuple[str, ...], pa.Table] = field(default_factory=dict, repr=False)

    @property
    def manifest(self) -> Manifest:
        return self.recording.manifest

    @cached_property
    def not_looked_at(self) -> frozenset[Dimension]:
        """The dimensions of which this recording says nothing, because nobody looked."""
        return frozenset(not_looked_at(self.manifest.loader, self.manifest.tier))

    @cached_property
    def workloads(self) -> Mapping[int, Mapping[str, Any]]:
        """The rows of `workloads` by number; labels and selector are dictionaries."""
        return {row["workload"]: _with_maps(row) for row in self._rows("workloads")}

    @cached_property
    def keys(self) -> Mapping[int, WorkloadKey]:
        """Each workload's key, taken apart."""
        return {
            number: parse_workload_key(workload_key_of(row))
            for number, row in self.workloads.items()
        }

    @cached_property
    def instances(self) -> Mapping[int, Mapping[str, Any]]:
        """The rows of `instances` by number."""
        return {row["instance"]: row for row in self._rows("instances")}

    @cached_property
    def addresses(self) -> pa.Table:
        """The table `addresses`, whole."""
        return self.recording.table("addresses")

    def instances_of(self, workload: int) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of the instances of *workload*."""
        return (row for row in self.instances.values() if row["workload"] == workload)

    @cached_property
    def losses(self) -> Mapping[int | None, int]:
        """How many events were lost, by workload; None: of nobody knows whom."""
        found: dict[int | None, int] = {}
        for row in self.grouped("losses", ("workload",), count="count").to_pylist():
            found[row["workload"]] = found.get(row["workload"], 0) + row["count"]
        return found

    def grouped(
        self,
        table: str,
        keys: Sequence[str],
        *,
        count: str = "calls",
        derived: Mapping[str, Derivation] = MappingProxyType({}),
    ) -> pa.Table:
        """Return *table* added up by *keys*: these, the sum of *count*, the first `window`.

        Enums among the keys are words. *derived* are keys that are no columns: from which column
        each is made, and how. What was added up once is kept.
        """
        wanted = (table, count, *keys, *derived)
        if wanted not in self._grouped:
            columns = {*keys, count, *(column for column, _ in derived.values())}
            batches = (_derive(batch, derived) for batch in self._batches(table, columns))
            self._grouped[wanted] = _add_up(batches, [*keys, *derived], count)
        return self._grouped[wanted]

    def _rows(self, name: str) -> Iterator[dict[str, Any]]:
        for batch in self.recording.batches(name):
            yield from batch.to_pylist()

    def _batches(self, name: str, columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        chosen = frozenset({*columns, "window"})
        for number in range(len(self.recording.parts(name))):
            self.recording.verify_part(name, number)
            for batch in self.recording.part_batches(name, number, columns=chosen):
                yield batch.select(sorted(chosen))


def _with_maps(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: dict(row[name] or ()) for name in ("labels", "selector")}


def _derive(batch: pa.RecordBatch, derived: Mapping[str, Derivation]) -> pa.RecordBatch:
    for name, (column, make) in derived.items():
        batch = batch.append_column(name, make(batch.column(column)))
    return batch


def _add_up(batches: Iterable[pa.RecordBatch], keys: Sequence[str], count: str) -> pa.Table:
    parts: list[pa.Table] = []
    rows = 0
    for batch in batches:
        parts.append(_summed(pa.Table.from_batches([_as_words(batch)]), keys, count))
        rows += parts[-1].num_rows
        if rows > _PENDING_ROWS:
            parts = [_summed(pa.concat_tables(parts), keys, count)]
            rows = parts[0].num_rows // 2  # what cannot get smaller is not added up each time
    if not parts:
        return pa.table({name: pa.array([]) for name in (*keys, count, "window")})
    return _summed(pa.concat_tables(parts), keys, count).sort_by(
        [("window", "ascending"), *((key, "ascending") for key in keys if _sorts(parts[0], key))]
    )


def _sorts(table: pa.Table, key: str) -> bool:
    return not pa.types.is_nested(table.schema.field(key).type)


def _summed(table: pa.Table, keys: Sequence[str], count: str) -> pa.Table:
    added = table.group_by(list(keys), use_threads=False).aggregate(
        [(count, "sum"), ("window", "min")]
    )
    names = [
        {f"{count}_sum": count, "window_min": "window"}.get(name, name)
        for name in added.column_names
    ]
    return added.rename_columns(names).select([*keys, count, "window"])


def _as_words(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return *batch* with enums as text: dictionaries are no keys to group by."""
    columns = [
        column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
