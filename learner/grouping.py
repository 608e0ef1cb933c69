"""Groups rows that come in batches: what was seen, in how many windows, how often.

Rows are grouped by Arrow a few million at a time, so that memory holds the groups and the rows of
the last windows, never a whole table.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["COMMON_KEYS", "group_rows"]

_MEASURES = [("calls", "sum"), ("first", "min"), ("last", "max"), ("process", "min")]

COMMON_KEYS = ("instance", "workload", "phase", "indicators")
_FOLD_ROWS = 2_000_000


def group_rows(tables: Iterable[pa.Table], by: tuple[str, ...]) -> pa.Table:
    """Return one row a group of *tables* by `COMMON_KEYS` and *by*.

    The tables have these columns and `window`, `calls`, `first`, `last`, `process`; the result has
    `windows` (in how many), `calls`, `first`, `last` and the smallest `process` instead. Windows
    come in order, as they are recorded: a row that is more than some millions of rows late counts
    its window again.
    """
    keys = [*COMMON_KEYS, *by]
    done: list[pa.Table] = []
    pending: list[pa.Table] = []
    rows, limit = 0, _FOLD_ROWS
    for table in tables:
        pending.append(table)
        rows += table.num_rows
        if rows < limit:
            continue
        whole = pa.concat_tables(pending)
        newest = pc.max(whole.column("window"))
        is_open = pc.equal(whole.column("window"), newest)
        done.append(_grouped(whole.filter(pc.invert(is_open)), keys))
        pending = [whole.filter(is_open)]
        rows = pending[0].num_rows
        limit = rows + _FOLD_ROWS
    if pending:
        done.append(_grouped(pa.concat_tables(pending), keys))
    return _folded(done, keys) if len(done) > 1 else (done[0] if done else pa.table({}))


def _grouped(table: pa.Table, keys: list[str]) -> pa.Table:
    return _renamed(
        table.group_by(keys).aggregate([("window", "count_distinct"), *_MEASURES]),
        {"window_count_distinct": "windows"},
    )


def _folded(parts: list[pa.Table], keys: list[str]) -> pa.Table:
    return _renamed(
        pa.concat_tables(parts).group_by(keys).aggregate([("windows", "sum"), *_MEASURES]),
        {"windows_sum": "windows"},
    )


def _renamed(table: pa.Table, names: dict[str, str]) -> pa.Table:
    names = names | {f"{name}_{measure}": name for name, measure in _MEASURES}
    return table.rename_columns([names.get(name, name) for name in table.column_names])
