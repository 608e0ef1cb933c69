"""Values of many shapes to exactly a column's Arrow type: strict with programs and with files.

Enums come as names, as codes (positions in `ENUMS`), or under any dictionary; they leave as int8
codes under the one dictionary that all batches share, so that a stream holds it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from ethogram.contracts.arrow import arrow_type, enum_dictionary
from ethogram.contracts.escape import escape
from ethogram.contracts.parquet_limits import decoded
from ethogram.contracts.tables import ENUMS, Column, Table

__all__ = ["Values", "batch_of", "conform_array", "conform_table", "null_array"]

Values: TypeAlias = "Sequence[Any] | np.ndarray | pa.Array | pa.ChunkedArray"

_SHOWN = 120


def batch_of(table: Table, columns: Mapping[str, Values]) -> pa.RecordBatch:
    """Return *columns* as one batch with exactly *table*'s schema.

    Absent nullable columns become null. An unknown or missing column, lengths that differ, and
    values that the column cannot hold are errors of the caller: `ValueError` names the column.
    """
    names = {column.name for column in table.columns}
    if unknown := sorted(set(columns) - names):
        raise ValueError(f"table `{table.name}` has no column `{unknown[0]}`")
    lengths = {name: len(values) for name, values in columns.items()}
    rows = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != rows:
            raise ValueError(f"column `{table.name}.{name}` has {length} values, others {rows}")
    arrays = []
    for column in table.columns:
        if column.name in columns:
            arrays.append(_converted(table, column, columns[column.name]))
        elif column.is_nullable:
            arrays.append(null_array(column, rows))
        else:
            raise ValueError(f"column `{table.name}.{column.name}` is missing")
    return pa.RecordBatch.from_arrays(arrays, schema=table.arrow_schema())


def null_array(column: Column, rows: int) -> pa.Array:
    """Return *rows* nulls of *column*'s type."""
    kind, _, name = column.word.partition(":")
    if kind == "enum":
        return _enum_array(pa.nulls(rows, pa.int8()), name)
    return pa.nulls(rows, arrow_type(column.word))


def _converted(table: Table, column: Column, values: Values) -> pa.Array:
    try:
        array = _array(column.word, values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, KeyError) as error:
        raise ValueError(f"column `{table.name}.{column.name}`: {error}") from error
    if array.null_count and not column.is_nullable:
        raise ValueError(f"column `{table.name}.{column.name}` is null in a row")
    return array


def _array(word: str, values: Values) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _conformed(word, values)
    kind, _, rest = word.partition(":")
    if kind == "enum":
        return _enum_array(_codes(rest, values), rest)
    if kind == "list":
        return _list_array(rest, values)
    if isinstance(values, np.ndarray):
        return _from_numpy(word, values)
    if kind == "map":
        values = [None if value is None else list(value.items()) for value in values]
    return pa.array(values, arrow_type(word))


def _from_numpy(word: str, values: np.ndarray) -> pa.Array:
    if values.dtype.kind not in "iuMbSV":
        return _array(word, values.tolist())
    if word.startswith("fixed:"):
        return _fixed_array(int(word.partition(":")[2]), values)
    if values.dtype.kind in "SV":
        # NumPy has cut trailing NULs of `S` already; Arrow would also cut at the first one.
        return pa.array(values.tolist(), arrow_type(word))
    if word == "ts" and values.dtype.kind == "u":
        return pa.array(values).cast(pa.int64()).cast(arrow_type(word))
    return pa.array(values).cast(arrow_type(word))


def _fixed_array(size: int, values: np.ndarray) -> pa.Array:
    """Return rows of exactly *size* bytes, whatever NumPy calls them."""
    rows = np.ascontiguousarray(values)
    if rows.nbytes != size * len(rows):
        raise ValueError(f"rows are not {size} bytes long")
    return pa.Array.from_buffers(pa.binary(size), len(rows), [None, pa.py_buffer(rows.tobytes())])


def _list_array(word: str, values: Sequence[Any] | np.ndarray) -> pa.Array:
    if not word.startswith("enum:"):
        return pa.array(list(values), arrow_type(f"list:{word}"))
    present = [() if row is None else row for row in values]
    lengths = np.fromiter((len(row) for row in present), np.int32, len(present))
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)))
    flat = _array(word, [member for row in present for member in row])
    mask = pa.array([row is None for row in values], pa.bool_())
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), flat, type=arrow_type(f"list:{word}"), mask=mask
    )


@lru_cache(maxsize=64)
def _code_of(name: str) -> Mapping[str, int]:
    return {member: code for code, member in enumerate(ENUMS[name])}


def _codes(name: str, values: Sequence[Any] | np.ndarray) -> pa.Array:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        _require_codes(name, values)
        return pa.array(values.astype(np.int8))
    known = _code_of(name)
    codes = [
        value if value is None or not isinstance(value, str) else known[value]
        for value in (values.tolist() if isinstance(values, np.ndarray) else values)
    ]
    _require_codes(name, [code for code in codes if code is not None])
    return pa.array(codes, pa.int8())


def _require_codes(name: str, codes: Sequence[int] | np.ndarray) -> None:
    numbers = np.asarray(codes)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(ENUMS[name]):
        raise ValueError(f"a code is not in enum `{name}`")


def _enum_array(codes: pa.Array, name: str) -> pa.Array:
    return pa.DictionaryArray.from_arrays(codes, enum_dictionary(name))


def conform_array(column: Column, array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return *array*, read from a file, as exactly *column*'s type.

    Strings may come large, as views or under a dictionary. `ValueError` says why it cannot be:
    another type, null where none may be, no member of the enum. *array* is validated first, so
    that damaged offsets or indices are refused rather than followed.
    """
    try:
        array.validate(full=True)
        conformed = _conformed(column.word, array)
    except pa.ArrowException as error:
        raise ValueError(_bounded(str(error))) from error
    if conformed.null_count and not column.is_nullable:
        raise ValueError("it is null in a row")
    return conformed


def conform_table(table: Table, rows: pa.Table) -> pa.Table:
    """Return *rows*, made by a program, with exactly *table*'s schema; see `batch_of`."""
    columns = {name: rows.column(name) for name in rows.column_names}
    return pa.Table.from_batches([batch_of(table, columns)])


def _bounded(text: str) -> str:
    """Return *text* on one line, printable and short: a file's content may be in it."""
    return escape(text[:_SHOWN])


def _conformed(word: str, array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = _single(array)
    kind, _, rest = word.partition(":")
    wanted = arrow_type(word)
    if kind == "enum":
        return _conformed_enum(rest, array)
    if pa.types.is_dictionary(array.type):
        array = decoded(array)
    if rest.startswith("enum:") and _is_list(array.type):
        return _conformed_enum_list(rest, array)
    if _is_list(array.type) and pa.types.is_dictionary(array.type.value_type):
        array = _decoded_list(array)
    if array.type.equals(wanted):
        return array
    if not _is_like(array.type, wanted):
        raise ValueError(f"it is {_bounded(str(array.type))}, not {wanted}")
    return array.cast(wanted)


def _decoded_list(array: pa.Array) -> pa.Array:
    """Return lists whose members stood under a dictionary without it."""
    import pyarrow.compute as pc  # noqa: PLC0415  of no use to who only writes

    flat = decoded(array.flatten())
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    return pa.LargeListArray.from_arrays(pa.array(offsets), flat, mask=pc.is_null(array))


def _single(array: pa.ChunkedArray) -> pa.Array:
    if array.num_chunks == 1:
        return array.chunk(0)
    combined = array.unify_dictionaries().combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _conformed_enum(name: str, array: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # noqa: PLC0415  of no use to who only writes

    members = enum_dictionary(name)
    if pa.types.is_dictionary(array.type):
        if not _is_text(array.type.value_type):
            raise ValueError(f"it is {_bounded(str(array.type))}, not text")
        if array.type.index_type == pa.int8() and array.dictionary.equals(members):
            return array
        by_index = pc.index_in(array.dictionary.cast(pa.string()), value_set=members)
        codes = by_index.take(array.indices)
    elif _is_text(array.type):
        codes = pc.index_in(array.cast(pa.string()), value_set=members)
    else:
        raise ValueError(f"it is {_bounded(str(array.type))}, not text")
    if codes.null_count != array.null_count:
        strange = pc.and_(pc.is_null(codes), pc.is_valid(array))
        value = array.filter(strange)[0].as_py()
        raise ValueError(f"`{_bounded(str(value))}` is no member of enum `{name}`")
    return _enum_array(codes.cast(pa.int8()), name)


def _conformed_enum_list(word: str, array: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # noqa: PLC0415  of no use to who only writes

    wanted = arrow_type(f"list:{word}")
    if array.type.equals(wanted) and array.values.dictionary.equals(
        enum_dictionary(word.partition(":")[2])
    ):
        return array
    # `flatten` drops what is behind null lists and slices, so the offsets are made anew.
    flat = _conformed(word, array.flatten())
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), flat, type=wanted, mask=pc.is_null(array)
    )


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_raw(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_like(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether *kind* means the same as *wanted* in another layout."""
    types = pa.types
    if _is_text(wanted) or _is_raw(wanted):
        return _is_text(kind) == _is_text(wanted) and _is_raw(kind) == _is_raw(wanted)
    if types.is_map(wanted):
        return types.is_map(kind) and _is_text(kind.key_type) and _is_text(kind.item_type)
    if types.is_list(wanted):
        return _is_list(kind) and _is_like(kind.value_type, wanted.value_type)
    if types.is_struct(wanted):
        return types.is_struct(kind) and all(
            kind.get_field_index(field.name) >= 0
            and _is_like(kind.field(field.name).type, field.type)
            for field in wanted.fields
        )
    return bool(kind.equals(wanted))
