"""Which processes are alike: as far as an indicator, a baseline or a relation can tell them apart.

All that a row says decides, but for what each process has of its own: numbers, times and how it
ended. A column that the table gets one day decides as well, until somebody says otherwise here.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.live import Live
from ethogram.contracts.tables import TABLES
from learner.context import Context

__all__ = ["OWN", "fed", "kinds_of"]

OWN = frozenset({
    "window", "exec_id", "parent_exec_id", "fork_parent_exec_id", "session_exec_id",
    "tgid", "ns_tgid", "pgid", "sid", "ns_pgid", "ns_sid", "start", "end", "exit_code", "signal",
})  # fmt: skip
_DECIDES = tuple(one.name for one in TABLES["processes"].columns if one.name not in OWN)


def kinds_of(rows: pa.RecordBatch, live: Live, context: Context) -> list[bytes]:
    """Return of each of *rows*, of table `processes`, a digest of all that decides about it.

    That is who started it as well, and whether it is the first of its tree. Arguments may be long:
    what is remembered of a process is not.
    """
    columns = [_values(rows.column(name)) for name in _DECIDES]
    names, sessions = rows.column("exec_id"), rows.column("session_exec_id")
    columns.append(pc.equal(names, sessions).to_pylist())
    for exes in (rows.column("exe").to_pylist(), _parents(rows, live)):
        places = [context.path_of_exe.get(exe) for exe in exes]
        columns.append([None if place is None else context.paths[place] for place in places])
    return [blake2b(repr(row).encode(), digest_size=16).digest()
            for row in zip(*columns, strict=True)]  # fmt: skip


def fed(rows: pa.RecordBatch, is_new: Sequence[bool]) -> Sequence[bool]:
    """Return which of *rows* to look at: who *is_new*, and who may write to one that is.

    What a program writes into a pipe says something beside a shell that takes its commands from
    one, and such a shell is new each time.
    """
    streams = rows.column("stdio").to_pylist()
    if not any(one and bool(kinds) and kinds[0] == "pipe"
               for one, kinds in zip(is_new, streams, strict=True)):  # fmt: skip
        return is_new
    writes = [bool(kinds) and kinds[1:2] == ["pipe"] for kinds in streams]
    return [one or other for one, other in zip(is_new, writes, strict=True)]


def _parents(rows: pa.RecordBatch, live: Live) -> list[Any]:
    """Return the executable of each one's parent, None where it is not known."""
    known = live.table("processes")
    found = pc.index_in(rows.column("parent_exec_id"), value_set=known.column("exec_id"),
                        skip_nulls=True)  # fmt: skip
    parents: list[Any] = known.column("exe").take(found).to_pylist()
    return parents


def _values(column: pa.Array) -> list[Any]:
    values: list[Any]
    values = (column.indices if pa.types.is_dictionary(column.type) else column).to_pylist()
    return values
