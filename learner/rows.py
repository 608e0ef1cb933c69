"""Rows of a summary while they are made: enums as codes, which Arrow can group and sort."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.arrow import enum_dictionary
from ethogram.contracts.tables import ENUMS, SUMMARY
from learner.context import Context
from learner.counting import whole

__all__ = ["SHARED", "Row", "coded", "new_row", "ranked", "table_of", "typed"]

Row = dict[str, Any]
# Names and processes: many rows share each.
SHARED = ("recording_id", "instance_key", "workload_key", "exe_path", "exec_id")
_NAMES = [column.name for column in SUMMARY.columns]
_ENUMS = {
    column.name: column.word.partition(":")[2]
    for column in SUMMARY.columns
    if column.word.startswith("enum:")
}


def new_row(context: Context, dimension: str, key: bytes, **columns: Any) -> Row:
    """Return a row of the recording of *context* that is nobody's unless *columns* say whose."""
    began = context.windows.began_ns
    return {
        "recording_id": context.recording.manifest.recording_id,
        "instance_key": "",
        "workload_key": "",
        "phase": "unknown",
        "dimension": dimension,
        "arch": None,
        "key": key,
        "exe_path": None,
        "windows": 0,
        "calls": 0,
        "first": began,
        "last": began,
        "exec_id": None,
        "in_image": None,
    } | columns


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Return *rows*, with enums as names and times in nanoseconds, as a table of codes."""
    rows = list(rows)
    schema = SUMMARY.arrow_schema()
    columns = {}
    for name in _NAMES:
        values = [row[name] for row in rows]
        if enum := _ENUMS.get(name):
            codes = [None if value is None else ENUMS[enum].index(value) for value in values]
            columns[name] = pa.array(codes, pa.int8())
        else:
            columns[name] = pa.array(values, schema.field(name).type)
    return coded(pa.table(columns))


def coded(table: pa.Table) -> pa.Table:
    """Return *table*, of a summary's schema or of codes already, as a table of codes.

    Names, which many rows share, stand under dictionaries.
    """
    columns = {}
    for name in _NAMES:
        column = table.column(name)
        is_dictionary = pa.types.is_dictionary(column.type)
        if name in _ENUMS and is_dictionary:
            words = column.cast(pa.string())
            members = enum_dictionary(_ENUMS[name])
            column = pc.index_in(words, value_set=members).cast(pa.int8())
        elif name in SHARED and not is_dictionary:
            column = column.dictionary_encode()
        columns[name] = column
    return pa.table(columns)


def ranked(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Return a column under dictionaries as codes that sort as its words do, and the words."""
    array = whole(column)
    words = array.dictionary.dictionary_encode()
    order = pc.array_sort_indices(words.dictionary)
    ranks = np.empty(len(order), np.int32)
    ranks[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    codes = pa.array(ranks).take(words.indices).take(array.indices)
    return codes, words.dictionary.take(order)


def typed(table: pa.Table) -> pa.Table:
    """Return *table* of codes with exactly the schema of a summary."""
    schema = SUMMARY.arrow_schema()
    arrays = []
    for field in schema:
        array = whole(table.column(field.name))
        if enum := _ENUMS.get(field.name):
            array = pa.DictionaryArray.from_arrays(array, enum_dictionary(enum))
        arrays.append(array.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
