"""A shell or an interpreter that reads its commands from a socket."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rows import INTERPRETERS, SHELLS, base_name_is, text, truth

__all__ = ["ShellOnSocket"]


class ShellOnSocket:
    """Judges at exec, by file descriptor 0 alone.

    Output on a socket is not enough: systemd gives every service a socket to the journal as its
    stdout and stderr.
    """

    metadata = IndicatorMetadata(
        id="shell-on-socket",
        title="Shell or interpreter with a socket as its standard input",
        reason="whoever is at the other end of the socket types the commands",
        table="processes",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1059.006")),
    )

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        is_shell = base_name_is(rows.column("exe_path"), f"{SHELLS}|{INTERPRETERS}")
        reads_socket = pc.equal(_first(rows.column("stdio")), "socket")
        executed = pc.is_null(rows.column("errno"))
        return truth(pc.and_(pc.and_(is_shell, reads_socket), executed))

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        return self.matches(rows)


def _first(lists: pa.ChunkedArray) -> pa.Array:
    """Return the first member of each list as text, null where a list is empty or null."""
    whole = lists.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], lists.type)
    lengths = pc.fill_null(pc.list_value_length(whole), 0).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    members = text(whole.flatten())
    return members.take(pa.array(starts, mask=lengths == 0))
