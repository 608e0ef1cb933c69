"""What a fragment of one table shows, in numbers of its recording, and how fragments become one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import ENUMS
from learner.counting import numbered, whole

__all__ = ["GROUP", "LOSS", "NOBODY", "NO_EDGE", "folded", "over_all_windows"]

NO_EDGE = -1
LOSS = ENUMS["dimension"].index("loss")
NOBODY = np.iinfo(np.int32).max
GROUP = pa.schema(
    [
        ("instance", pa.uint32()),
        ("workload", pa.uint32()),
        ("phase", pa.int8()),
        ("dimension", pa.int8()),
        ("arch", pa.int8()),
        ("key", pa.binary()),
        ("exe_path", pa.int32()),  # index of the path
        ("direction", pa.int8()),  # to bind and to listen are two acts with one key
        ("edge", pa.int64()),  # the window, where rows of it may be elsewhere as well
        ("windows", pa.uint64()),
        ("calls", pa.uint64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("process", pa.int32()),  # the first by name, where rows name theirs
        ("in_image", pa.bool_()),  # of files, where any row knows it
    ]
)
_KEYS = GROUP.names[: GROUP.names.index("edge")]


def folded(parts: Iterable[pa.Table]) -> pa.Table:
    """Return the groups of all *parts* of one table of a recording, in any order.

    Counts add up, but of a window that several have rows of, each group counts it once.
    """
    rows = pa.concat_tables([GROUP.empty_table(), *parts])
    found = _added(rows, [*_KEYS, "edge"])
    is_edge = pc.not_equal(found.column("edge"), NO_EDGE)
    once = pc.min_element_wise(found.column("windows"), pa.scalar(1, pa.uint64()))
    return _with(found, "windows", pc.if_else(is_edge, once, found.column("windows")))


def over_all_windows(groups: pa.Table) -> pa.Table:
    """Return *groups*, all that there are, each once: no other fragment has rows of its windows."""
    return _added(groups, _KEYS)


def _added(rows: pa.Table, keys: list[str]) -> pa.Table:
    """Return *rows* with one for each combination of *keys*, in one piece, their counts added.

    By numbers: to group a million rows as they are takes ten times their room.
    """
    numbers = numbered([rows.column(name) for name in keys], rows.num_rows)
    count, of_rows = len(numbers), numbers.of_rows
    # Slices of large buffers would go to another process with all of them: `take` copies.
    found = rows.take(pa.array(numbers.first_rows)).combine_chunks()
    if count == rows.num_rows:
        return found
    for name, add, begin in (
        ("windows", np.add, 0),
        ("calls", np.add, 0),
        ("first", np.minimum, np.iinfo(np.int64).max),
        ("last", np.maximum, np.iinfo(np.int64).min),
        ("process", np.minimum, NOBODY),
        ("in_image", np.maximum, -1),
    ):
        column = whole(rows.column(name))
        if column.null_count == len(column):
            continue
        kind = column.type
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        values = pc.fill_null(column, begin).to_numpy()
        sums = np.full(count, begin, values.dtype)
        add.at(sums, of_rows, values)
        is_null = sums == begin if name in ("process", "in_image") else None
        found = _with(found, name, _column(sums, kind, is_null))
    return found


def _column(values: np.ndarray, kind: pa.DataType, is_null: np.ndarray | None) -> pa.Array:
    return pa.array(values, mask=is_null).cast(kind)


def _with(rows: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    index = rows.schema.get_field_index(name)
    return rows.set_column(index, rows.schema.field(index), column)
