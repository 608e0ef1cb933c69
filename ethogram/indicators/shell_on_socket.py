"""A shell or an interpreter that reads its commands from a socket."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.arguments import takes_commands
from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import Mask, among, executed, matching, stream_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_SSH = r"^/usr/(?:local/)?(?:sbin/sshd|lib(?:exec)?/(?:openssh/|ssh/)?sshd-(?:session|auth))$"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by file descriptor 0 alone.

    Output on a socket is not enough: systemd gives every service a socket to the journal. Nor is
    input, where the commands come with the arguments: Node.js talks with every child through
    socket pairs. What sshd starts is a login.
    """
    return among(rows, pc.and_(stream_is(rows, 0, "socket"), executed(rows)), _typed_into)


def _typed_into(rows: pa.Table) -> Mask:
    login = pc.fill_null(matching(rows.column("parent_path"), _SSH), fill_value=False)
    return pc.and_not(takes_commands(rows), login)


INDICATOR = Rule(
    IndicatorMetadata(
        id="shell-on-socket",
        title="Shell or interpreter with a socket as its standard input",
        reason="whoever is at the other end of the socket types the commands",
        table="processes",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1059.006")),
        confidence="high",
        compliance=NETWORK,
    ),
    bad=_bad,
    suspect=everything,
)
