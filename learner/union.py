"""The union of rows of summaries: sorted by primary key, each key once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.tables import SUMMARY
from learner.counting import whole
from learner.rows import SHARED, ranked, table_of

__all__ = ["united"]

# Of two rows with one key the larger counts stand, the earlier `first`, the later `last`, the first
# process by name, and that a file is one of the image. Null is not known, and gives way.
_MEASURES = {
    "windows": np.maximum,
    "calls": np.maximum,
    "first": np.minimum,
    "last": np.maximum,
    "exec_id": np.minimum,
    "in_image": np.maximum,
}
_NULL = np.iinfo(np.int32).max  # behind all others, as Arrow sorts


def united(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the union of *tables* of codes, sorted by primary key.

    Sorted as numbers: a table of a million rows would take ten times its room to be grouped.
    """
    rows = pa.concat_tables([table_of([]), *tables])
    words: dict[str, pa.Array] = {}
    codes: dict[str, np.ndarray] = {}
    for name in {*SUMMARY.key, *SHARED}:
        column = rows.column(name)
        if name == "key":
            column = column.dictionary_encode()
        if pa.types.is_dictionary(column.type):
            ranks, words[name] = ranked(column)
            codes[name] = pc.fill_null(ranks, _NULL).to_numpy()
        else:
            codes[name] = pc.fill_null(whole(column).cast(pa.int32()), _NULL).to_numpy()
    order = np.lexsort([codes[name] for name in reversed(SUMMARY.key)])
    starts = _starts([codes[name] for name in SUMMARY.key], order)
    chosen = order[starts]
    found = {}
    for field in rows.schema:
        name = field.name
        if name in _MEASURES:
            values = codes[name] if name in codes else _numbers(whole(rows.column(name)))
            values = _MEASURES[name].reduceat(values[order], starts) if len(starts) else values
        else:
            values = codes[name][chosen]
        found[name] = _column(values, field.type, words.get(name))
    pa.default_memory_pool().release_unused()
    return pa.table(found)


def _starts(codes: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Return where in *order* another key begins."""
    is_new = np.zeros(len(order), bool)
    is_new[:1] = True
    for column in codes:
        inside = column[order]
        is_new[1:] |= inside[1:] != inside[:-1]
    return np.flatnonzero(is_new)


def _numbers(column: pa.Array) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if pa.types.is_boolean(column.type):
        column = pc.fill_null(column.cast(pa.int8()), -1)
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _column(values: np.ndarray, kind: pa.DataType, words: pa.Array | None) -> pa.Array:
    """Return *values* as a column of *kind*, of which *words* are the dictionary or the values."""
    if words is not None:
        # What stands below a null must be an index too: Arrow follows it.
        is_null = values == _NULL
        indices = pa.array(np.where(is_null, 0, values), pa.int32(), mask=is_null)
        if pa.types.is_dictionary(kind):
            return pa.DictionaryArray.from_arrays(indices, words)
        return words.take(indices)
    if pa.types.is_boolean(kind):
        return pa.array(values > 0, kind, mask=values < 0)
    if pa.types.is_integer(kind) and values.dtype == np.int32:
        return pa.array(values, mask=values == _NULL).cast(kind)
    return pa.array(values).cast(kind)
