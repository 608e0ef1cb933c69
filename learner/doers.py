"""Which process did it: an example of one for each row of a summary that can have one.

Rows with an `exec_id` name theirs. Files, sockets and questions name an executable: any process
that ran it in that instance, and lived in the window in which they were first seen, is an example.
Calls, errors and n-grams are counted per instance, so nobody can tell.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learner.context import Context

__all__ = ["BY_EXEC_ID", "Doers"]

BY_EXEC_ID = frozenset({"processes", "privileges", "denied"})
_BY_EXE = frozenset({"files", "network", "dns"})
_FOREVER = np.iinfo(np.int64).max


class Doers:
    """Names processes of one recording; a number of one is its place among the sorted names."""

    def __init__(self, context: Context) -> None:
        self._context = context
        columns = ["exec_id", "exe", "instance", "start", "end"]
        table = context.recording.table("processes").select(columns)
        names = _flat(table, "exec_id")
        order = pc.array_sort_indices(names)
        self._names = names.take(order)
        self._lives = _Lives(context, table.take(order))

    def numbers(self, table: str, batch: pa.RecordBatch) -> pa.Array:
        """Return the process of each row of *batch*, of *table*; null where its rows name none."""
        if table not in BY_EXEC_ID:
            return pa.nulls(batch.num_rows, pa.int32())
        return pc.index_in(batch.column("exec_id"), value_set=self._names)

    def of_groups(self, table: str, groups: pa.Table) -> pa.Array:
        """Return the `exec_id` for each of *groups* of rows of *table*, null where none is known.

        *groups* have `process`, the smallest of `numbers`, and for tables that name executables
        `instance`, `exe_path` (index of the path) and `first`.
        """
        if table in _BY_EXE:
            return self._names.take(self._lives.at(self._context, groups))
        return self._names.take(_flat(groups, "process"))


class _Lives:
    """Finds a process by instance, path of its executable, and a window in which it lived."""

    def __init__(self, context: Context, processes: pa.Table) -> None:
        paths = context.path_indices(_flat(processes, "exe"))
        is_known = pc.is_valid(paths).to_numpy(zero_copy_only=False)
        start = _nanoseconds(processes, "start")
        end = pc.fill_null(_flat(processes, "end").cast(pa.int64()), _FOREVER).to_numpy()
        instance = _flat(processes, "instance").to_numpy().astype(np.int64)
        exe = pc.fill_null(paths, 0).to_numpy().astype(np.int64)
        begin = context.windows.at(start).astype(np.int64)
        over = np.where(end == _FOREVER, _FOREVER, context.windows.at(end)).astype(np.int64)
        # By what they ran where, then by when they began: a search finds the last that had.
        order = np.lexsort((begin, exe, instance))
        order = order[is_known[order]]
        self._keys = (instance[order], exe[order], begin[order])
        self._longest, self._over = _longest_so_far(order, over[order], _changes(*self._keys[:2]))

    def at(self, context: Context, groups: pa.Table) -> pa.Array:
        """Return the number of a process for each of *groups*, null where none lived."""
        paths = _flat(groups, "exe_path")
        exe = pc.fill_null(paths, -1).to_numpy().astype(np.int64)
        instance = _flat(groups, "instance").to_numpy().astype(np.int64)
        window = context.windows.at(_nanoseconds(groups, "first")).astype(np.int64)
        if not len(self._longest):
            return pa.nulls(len(exe), pa.int32())
        place = _last_not_after(self._keys, (instance, exe, window))
        found = np.maximum(place, 0)
        is_found = (place >= 0) & (self._keys[0][found] == instance)
        is_found &= (self._keys[1][found] == exe) & (self._over[found] >= window)
        return pa.array(self._longest[found].astype(np.int32), mask=~is_found)


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Return for each row whether any of *columns* differs from the row before."""
    changes = np.zeros(len(columns[0]), bool)
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    return changes


def _longest_so_far(
    numbers: np.ndarray, over: np.ndarray, is_new: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the process, of its group up to it, that lived longest, and until when.

    Workers come and go while the first process lives: the last that began may be over already.
    """
    ranks = np.unique(over, return_inverse=True)[1]
    lasting = np.cumsum(is_new) * (len(over) + 1) + ranks
    is_longer = np.ones(len(over), bool)
    is_longer[1:] = lasting[1:] > np.maximum.accumulate(lasting)[:-1]
    places = np.maximum.accumulate(np.where(is_longer, np.arange(len(over)), 0))
    return numbers[places], over[places]


def _last_not_after(keys: tuple[np.ndarray, ...], wanted: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return for each of *wanted* the place of the last of *keys*, sorted, not after it; or -1."""
    both = [np.concatenate(pair) for pair in zip(keys, wanted, strict=True)]
    is_wanted = np.repeat([False, True], [len(keys[0]), len(wanted[0])])
    order = np.lexsort((is_wanted, *reversed(both)))
    before = np.cumsum(~is_wanted[order]) - 1
    places = np.empty(len(wanted[0]), np.int64)
    places[order[is_wanted[order]] - len(keys[0])] = before[is_wanted[order]]
    return places


def _flat(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return (
        pa.concat_arrays(column.chunks)
        if column.num_chunks
        else pa.array([], table.schema.field(name).type)
    )


def _nanoseconds(table: pa.Table, name: str) -> np.ndarray:
    times: np.ndarray = _flat(table, name).cast(pa.int64()).to_numpy()
    return times
