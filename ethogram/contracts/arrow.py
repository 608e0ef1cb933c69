"""Arrow types for the words of `tables`: the one place where contracts load pyarrow."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyarrow as pa

from ethogram.contracts.tables import ENUMS, Column, Table

__all__ = ["arrow_type", "enum_dictionary", "find_pandas", "plain_rows", "schema_of"]

_SIMPLE = {
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "i32": pa.int32(),
    "bool": pa.bool_(),
    "str": pa.string(),
    "bytes": pa.binary(),
    "ts": pa.timestamp("ns", tz="UTC"),
    "map": pa.map_(pa.string(), pa.string()),
    "ports": pa.list_(
        pa.struct([("port", pa.uint16()), ("target", pa.string()), ("protocol", pa.string())])
    ),
    "peers": pa.list_(
        pa.struct(
            [
                ("fd", pa.uint8()),
                ("family", pa.uint16()),
                ("type", pa.uint16()),
                ("local_addr", pa.binary()),
                ("local_port", pa.uint16()),
                ("peer_addr", pa.binary()),
                ("peer_port", pa.uint16()),
                ("unix_path", pa.binary()),
            ]
        )
    ),
}


def arrow_type(word: str) -> pa.DataType:
    """Return the Arrow type of a type *word*; `ValueError` names a word that is none."""
    kind, _, rest = word.partition(":")
    match kind:
        case "enum":
            return pa.dictionary(pa.int8(), pa.string())
        case "fixed":
            return pa.binary(int(rest))
        case "list":
            return pa.list_(arrow_type(rest))
    if word not in _SIMPLE:
        raise ValueError(f"`{word}` is no column type")
    return _SIMPLE[word]


def enum_dictionary(name: str) -> pa.Array:
    """Return the members of enum *name* as the dictionary that every batch shares."""
    return pa.array(ENUMS[name], pa.string())


def _field(column: Column) -> pa.Field:
    return pa.field(
        column.name, arrow_type(column.word), column.is_nullable, metadata={"doc": column.doc}
    )


@lru_cache(maxsize=64)
def schema_of(table: Table) -> pa.Schema:
    """Return the Arrow schema of *table*; field metadata `doc` holds each column's meaning."""
    return pa.schema([_field(column) for column in table.columns], metadata={"table": table.name})


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of *table* with times cut to microseconds, which need no pandas."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            whole = table.column(index).cast(pa.timestamp("us", field.type.tz), safe=False)
            table = table.set_column(index, field.name, whole)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def find_pandas() -> None:
    """Let pyarrow find pandas, which it needs for times to the nanosecond.

    A recorder hides it, and one process may record and then read what it recorded.
    """
    pa.nulls(0).to_pandas()
