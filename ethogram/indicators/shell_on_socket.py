"""A shell or an interpreter that reads its commands from a socket."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.predicates import (
    INTERPRETERS,
    SHELLS,
    Mask,
    among,
    executed,
    matching,
    runs,
    text,
    words,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

# Nothing but options, or one that asks for commands from standard input all the same.
_READS_INPUT = r"^[^\x00]*(?:\x00[-+][^\x00]*|\x00)*$|\x00-[a-zA-Z]*[is][a-zA-Z]*(?:\x00|$)"
_HAS_PROGRAM = r"\x00-[a-zA-Z]*[ce][a-zA-Z]*(?:\x00|$)"
_MULTI_CALL_NAME = r"^(?:[^\x00]*/)?(?:busybox(?:\.[a-z]+)?|toybox)\x00"
_SSH = r"^/usr/(?:local/)?(?:sbin/sshd|lib(?:exec)?/(?:openssh/|ssh/)?sshd-(?:session|auth))$"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by file descriptor 0 alone.

    Output on a socket is not enough: systemd gives every service a socket to the journal. Nor is
    input, where the commands come with the arguments: Node.js talks with every child through
    socket pairs. What sshd starts is a login.
    """
    on_socket = pc.and_(pc.equal(_first(rows.column("stdio")), "socket"), executed(rows))
    return among(rows, on_socket, _takes_commands)


def _takes_commands(rows: pa.Table) -> Mask:
    arguments = pc.replace_substring_regex(words(rows), _MULTI_CALL_NAME, "")
    reads = pc.and_not(matching(arguments, _READS_INPUT), matching(arguments, _HAS_PROGRAM))
    login = pc.fill_null(matching(rows.column("parent_path"), _SSH), fill_value=False)
    return pc.and_(runs(rows, f"{SHELLS}|{INTERPRETERS}"), pc.and_not(reads, login))


def _first(lists: pa.ChunkedArray) -> pa.Array:
    """Return the first member of each list as text, null where a list is empty or null."""
    whole = lists.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], lists.type)
    lengths = pc.fill_null(pc.list_value_length(whole), 0).to_numpy(zero_copy_only=False)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    members = text(whole.flatten())
    return members.take(pa.array(starts, mask=lengths == 0))


INDICATOR = Rule(
    IndicatorMetadata(
        id="shell-on-socket",
        title="Shell or interpreter with a socket as its standard input",
        reason="whoever is at the other end of the socket types the commands",
        table="processes",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1059.006")),
    ),
    bad=_bad,
    suspect=everything,
)
