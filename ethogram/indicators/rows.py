"""Rows as indicators see them, and the words that several of them share."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["INTERPRETERS", "SHELLS", "base_name_is", "text", "truth", "with_executables"]

SHELLS = r"(?:ba|da|a|z|k|mk|pdk|tc|c|fi|rba|ya)?sh|busybox|toybox"
INTERPRETERS = (
    r"python[0-9.]*|pypy[0-9.]*|perl[0-9.]*|ruby[0-9.]*|php[0-9.]*|lua(?:jit)?[0-9.]*|node(?:js)?"
    r"|tclsh[0-9.]*|gawk|mawk|awk"
)


def with_executables(rows: pa.Table, executables: pa.Table) -> pa.Table:
    """Return *rows* with `exe_path` and `exe_memfd` of the executable they name.

    Null where *executables* has no such row.
    """
    numbers = executables.column("exe").to_numpy()
    size = int(numbers.max()) + 1 if len(numbers) else 0
    row_of = np.full(size + 1, -1, np.int64)
    row_of[numbers] = np.arange(len(numbers))
    wanted = np.minimum(rows.column("exe").to_numpy(), size)
    found = row_of[wanted] if size else np.full(len(wanted), -1, np.int64)
    index = pa.array(found, mask=found < 0)
    for source, target in (("path", "exe_path"), ("memfd", "exe_memfd")):
        rows = rows.append_column(target, executables.column(source).combine_chunks().take(index))
    return rows


def base_name_is(paths: pa.ChunkedArray, names: str) -> pa.ChunkedArray:
    """Return where the last component of *paths* is one of *names*, a regular expression."""
    return pc.match_substring_regex(paths, rf"(?:^|/)(?:{names})$")


def text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return an enum *column* as plain strings, whatever dictionary it comes with."""
    return column.cast(pa.string())


def truth(mask: pa.ChunkedArray | pa.Array) -> pa.BooleanArray:
    """Return *mask* as one array without nulls: what is not known is no match."""
    filled = pc.fill_null(mask, False)
    return filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
