"""Columns of the tables in the words of SQL, and as people read them."""

from __future__ import annotations

from types import MappingProxyType

from ethogram.contracts.tables import Column

__all__ = ["is_address", "quoted", "sql_type", "text_of"]

_SIMPLE = MappingProxyType(
    {
        "u8": "UTINYINT",
        "u16": "USMALLINT",
        "u32": "UINTEGER",
        "u64": "UBIGINT",
        "i32": "INTEGER",
        "bool": "BOOLEAN",
        "str": "VARCHAR",
        "bytes": "BLOB",
        "ts": "TIMESTAMP_NS",
        "map": "MAP(VARCHAR, VARCHAR)",
        "ports": "STRUCT(port USMALLINT, target VARCHAR, protocol VARCHAR)[]",
        "peers": 'STRUCT(fd UTINYINT, family USMALLINT, "type" USMALLINT, local_addr BLOB,'
        " local_port USMALLINT, peer_addr BLOB, peer_port USMALLINT, unix_path BLOB)[]",
    }
)
_ADDRESSES = frozenset({"addr", "local_addr", "peer_addr", "nat_addr", "resolver", "answers"})


def sql_type(word: str) -> str:
    """Return DuckDB's name for a type *word* of `ethogram.contracts.tables`; times are in UTC."""
    kind, _, rest = word.partition(":")
    match kind:
        case "enum":
            return "VARCHAR"
        case "fixed":
            return "BLOB"
        case "list":
            return f"{sql_type(rest)}[]"
    return _SIMPLE[word]


def is_address(column: Column) -> bool:
    """Say whether the bytes of *column* are addresses."""
    return column.name in _ADDRESSES


def quoted(name: str) -> str:
    """Return *name* as SQL takes it, whatever it is."""
    return '"' + name.replace('"', '""') + '"'


def text_of(column: Column, source: str) -> str | None:
    """Return how SQL shows the bytes of *column* of *source* as text; None where it has none."""
    value = f"{source}.{quoted(column.name)}"
    shown = "address_text" if is_address(column) else "escaped"
    match column.word:
        case "bytes":
            return f"{shown}({value})"
        case "list:bytes":
            return f"list_transform({value}, lambda one: {shown}(one))"
        case "peers":
            return (
                f"list_transform({value}, lambda one: {{'fd': one.fd, 'family': one.family,"
                " 'type': one.\"type\", 'local_addr': address_text(one.local_addr),"
                " 'local_port': one.local_port, 'peer_addr': address_text(one.peer_addr),"
                " 'peer_port': one.peer_port, 'unix_path': escaped(one.unix_path)})"
            )
    return f"lower(hex({value}))" if column.word.startswith("fixed:") else None
