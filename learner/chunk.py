"""Some rows of one table of a recording, to groups: what was done, judged, counted and timed.

Rows are numbered by the columns that decide what they show; what is slow, such as the indicators
and the names of what was seen, is asked once a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS
from learner.behaviour import Behaviour, Columns, group_columns
from learner.context import Context
from learner.counting import are_among, counted, numbered, whole
from learner.dimensions import canonical, quarantine_key
from learner.doers import BY_EXEC_ID, Doers
from learner.groups import GROUP, LOSS, NO_EDGE, NOBODY
from learner.judging import Judgement, Suspects, judge, judged_refusals
from learner.taint import Taint

__all__ = ["Chunk"]

_DIMENSIONS = {name: code for code, name in enumerate(ENUMS["dimension"])}
_Chosen: TypeAlias = "np.ndarray | slice"  # rows
_IMAGES, _NOT_KNOWN = (ENUMS["in_image"].index(word) for word in ("yes", "unknown"))


class Chunk:
    """Some rows of one table: those that somebody did, and how many were nobody's.

    *decided* are the numbers of the rows by what decides about them, and *distinct* a row of each.
    """

    def __init__(
        self,
        context: Context,
        taint: Taint,
        behaviour: Behaviour,
        rows: pa.Table,
        doers: Doers | None,
    ) -> None:
        self._context, self._taint = context, taint
        self._behaviour, self._doers = behaviour, doers
        known = _are_known(rows.column("workload"), context.workload_keys)
        known &= _are_known(rows.column("instance"), context.instance_keys)
        self._nobodys = int((~known).sum())
        self._rows = rows = rows if known.all() else rows.filter(pa.array(known))
        deciding = [rows.column(name) for name in behaviour.decided_by]
        if deciding:
            deciding += behaviour.decided_also(context, rows)
            numbers = numbered(deciding, rows.num_rows)
            self._decided: np.ndarray | None = numbers.of_rows
            rows = rows.take(pa.array(numbers.first_rows))
        else:
            self._decided = None
        self._distinct = _batch(rows)
        self.suspects = Suspects()

    def groups(self, shared: frozenset[int]) -> Iterator[pa.Table]:
        """Yield tables of groups; what was nobody's is a loss."""
        if self._nobodys:
            key = canonical(["malformed", f"summarize {self._behaviour.table}"])
            yield _loss(self._context, key, self._nobodys)
        if self._rows.num_rows:
            columns = self._behaviour.prepare(self._context, self._distinct)
            found = self._judged()
            yield self._groups(columns, found.condemned, shared)
            if found.noted.any():
                yield self._groups(columns, found.noted, shared, are_notes=True)

    def _judged(self) -> Judgement:
        """Return what indicators say of each distinct row; remember whom they suspect."""
        rules, table = self._taint.indicators, self._behaviour.table
        distinct = pa.Table.from_batches([self._distinct])
        found = judge(rules, table, distinct, self._context)
        if found.tainting.any():
            tainting = self._of_rows(found.tainting)
            self.suspects.add_rows(self._rows, tainting)
        if table == "denied":
            self.suspects.take(judged_refusals(rules, distinct, self._context))
        return found

    def _of_rows(self, values: np.ndarray) -> np.ndarray:
        """Return *values* of distinct rows for each row."""
        return values if self._decided is None else values[self._decided]

    def _groups(
        self,
        columns: Columns,
        condemned: np.ndarray,
        shared: frozenset[int],
        *,
        are_notes: bool = False,
    ) -> pa.Table:
        """Return the groups, those *condemned* apart; or only the notes where they *are_notes*."""
        what, acts, chosen = self._acts(columns, condemned, are_notes=are_notes)
        # Where several acts have one key, a window that shows two of them counts once.
        same = numbered(what.values(), len(what["key"]))
        measures = self._measures(columns, chosen)
        groups, of_edges = same.of_rows[acts], self._edges(measures["window"], shared)
        edges = numbered([groups[of_edges], measures["window"][of_edges]], len(of_edges))
        first = of_edges[edges.first_rows]
        kind = np.concatenate([np.arange(len(same)), groups[first]])
        edge = np.concatenate([np.full(len(same), NO_EDGE), measures["window"][first]])
        groups[of_edges] = len(same) + edges.of_rows
        counts = counted(groups, len(kind), **measures)
        act = pa.array(same.first_rows[kind])
        found = {name: column.take(act) for name, column in what.items()} | {
            "edge": edge,
            "windows": counts.windows,
            "calls": counts.calls,
            "first": counts.first,
            "last": counts.last,
            "process": self._processes(groups, chosen, len(kind)),
            "in_image": self._images(groups, chosen, len(kind)),
        }
        table = pa.table(found).select(GROUP.names).cast(GROUP)
        return table.filter(pa.array(counts.windows > 0))

    def _acts(
        self, columns: Columns, condemned: np.ndarray, *, are_notes: bool
    ) -> tuple[Columns, np.ndarray, _Chosen]:
        """Return what tells acts apart, the act of each row that counts, and which rows do."""
        batch = self._distinct
        kept = np.ones(batch.num_rows, bool)
        if (keep := columns.get("keep")) is not None:
            kept = _numpy(pc.fill_null(keep, fill_value=False))
        if are_notes:
            kept = kept & (condemned > 0)
        rows = np.flatnonzero(kept)
        chosen: _Chosen = slice(None) if kept.all() else np.flatnonzero(self._of_rows(kept))
        own = {name: columns[name] for name in group_columns(columns)}
        telling = [*own.values(), *(batch.column(name) for name in ("instance", "workload")),
                   batch.column("phase").indices]  # fmt: skip
        of_rows = [column.take(pa.array(rows)) for column in telling]
        kinds = numbered([*of_rows, condemned[rows]], len(rows))
        act_of = np.full(batch.num_rows, -1)
        act_of[rows] = kinds.of_rows
        acts, sample = self._of_rows(act_of)[chosen], rows[kinds.first_rows]
        bits = condemned[sample]
        if self._taint.exec_ids and not are_notes:
            tree = self._taint.of_tree(self._behaviour.table, _batch(self._rows))[chosen]
            numbers = numbered([acts, tree], len(acts))
            first = acts[numbers.first_rows]
            sample, bits = sample[first], bits[first] | tree[numbers.first_rows]
            acts = numbers.of_rows
        word = "mark" if are_notes else "quarantine"
        return self._what(own, sample, bits, word), acts, chosen

    def _what(self, own: Columns, sample: np.ndarray, bits: np.ndarray, word: str) -> Columns:
        """Return the columns that tell groups apart, of the distinct rows *sample* with *bits*."""
        batch, rows = self._distinct, pa.array(sample)
        what: Columns = {
            "instance": batch.column("instance").take(rows),
            "workload": batch.column("workload").take(rows),
            "phase": batch.column("phase").indices.take(rows),
        }
        for name in ("arch", "exe_path", "direction"):
            absent = pa.nulls(len(sample), GROUP.field(name).type)
            what[name] = own[name].take(rows) if name in own else absent
        what["dimension"], what["key"] = self._dimensions_and_keys(own, rows, bits, word)
        return what

    def _measures(self, columns: Columns, chosen: _Chosen) -> dict[str, np.ndarray]:
        """Return window, calls, first and last of the rows *chosen*."""
        rows: Columns = {name: self._rows.column(name) for name in self._rows.column_names}
        if self._decided is None:
            rows |= columns
        window = _numpy(rows["window"])[chosen].astype(np.int64)
        measures = {"window": window, "calls": np.ones(len(window), np.uint64)}
        if (calls := rows.get(self._behaviour.counted_by)) is not None:
            measures["calls"] = _numpy(pc.fill_null(calls, 0))[chosen]
        if "first" in rows:
            for name in ("first", "last"):
                measures[name] = _numpy(rows[name].cast(pa.int64()))[chosen]
            return measures
        low = int(window.min()) if len(window) else 0
        span = np.arange(low, int(window.max()) + 1 if len(window) else 1)
        windows = self._context.windows
        measures["first"] = windows.start_of(span)[window - low]
        measures["last"] = windows.end_of(span)[window - low]
        return measures

    def _edges(self, window: np.ndarray, shared: frozenset[int]) -> np.ndarray:
        """Return the rows of windows that others may have rows of.

        The first and the last window of a chunk are such. A process may have executed in any.
        """
        if self._behaviour.table == "processes":
            return np.arange(len(window))
        own = self._rows.column("window")
        return np.flatnonzero(are_among(window, shared | {*pc.min_max(own).as_py().values()}))

    def _dimensions_and_keys(
        self, own: Columns, rows: pa.Array, bits: np.ndarray, word: str
    ) -> tuple[pa.Array, pa.Array]:
        """Return what the distinct *rows* are called, those with *bits* by dimension *word*."""
        said = {name: own[name].take(rows) for name in own if name != "exe_path"}
        numbers = numbered([*said.values(), bits], len(rows))
        first = pa.array(numbers.first_rows)
        lists = [column.take(first).to_pylist() for column in said.values()]
        dimensions, keys = [], []
        for condemned, values in zip(
            bits[numbers.first_rows].tolist(), zip(*lists, strict=True), strict=True
        ):
            given = dict(zip(said, values, strict=True))
            dimension, key = self._behaviour.name(self._context, given)
            if condemned:
                names = self._taint.names(condemned)
                dimension, key = word, quarantine_key(dimension, key, names)
            dimensions.append(_DIMENSIONS[dimension])
            keys.append(key)
        of_rows = pa.array(numbers.of_rows)
        return (
            pa.array(dimensions, pa.int8()).take(of_rows),
            pa.array(keys, pa.binary()).take(of_rows),
        )

    def _processes(self, numbers: np.ndarray, chosen: _Chosen, count: int) -> pa.Array:
        """Return the first process by name of each of *count* groups, where rows name theirs."""
        if self._doers is None or self._behaviour.table not in BY_EXEC_ID:
            return pa.nulls(count, pa.int32())
        process = self._doers.numbers(self._behaviour.table, self._distinct)
        of_rows = pc.fill_null(process, NOBODY).to_numpy()[chosen]
        least = np.full(count, NOBODY, np.int32)
        np.minimum.at(least, numbers, of_rows)
        return pa.array(least, mask=least == NOBODY)

    def _images(self, numbers: np.ndarray, chosen: _Chosen, count: int) -> pa.Array:
        """Return whether each of *count* groups is of a file of the image, null where none knows.

        Any row that says so is enough: what is written to is the container's own from then on.
        """
        if self._behaviour.table != "files":
            return pa.nulls(count, pa.bool_())
        said = self._of_rows(_numpy(self._distinct.column("in_image").indices))[chosen]
        is_image, is_known = (
            np.bincount(numbers[mask], minlength=count) > 0
            for mask in (said == _IMAGES, said != _NOT_KNOWN)
        )
        return pa.array(is_image, mask=~is_known)


def _batch(rows: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [whole(column) for column in rows.columns], schema=rows.schema
    )


def _are_known(numbers: pa.ChunkedArray, names: Mapping[int, str]) -> np.ndarray:
    return are_among(numbers.to_numpy(), names)


def _numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = whole(column).to_numpy(zero_copy_only=False)
    return values


def _loss(context: Context, key: bytes, count: int) -> pa.Table:
    began = context.windows.began_ns
    row = {
        "dimension": LOSS,
        "phase": ENUMS["phase"].index("unknown"),
        "key": key,
        "edge": NO_EDGE,
        "windows": 0,
        "calls": count,
        "first": began,
        "last": began,
    }
    return pa.Table.from_pylist([row], schema=GROUP)
