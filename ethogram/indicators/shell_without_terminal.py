"""An interactive shell that is fed through a pipe."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.arguments import is_interactive, takes_commands
from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import SHELLS, Mask, among, executed, runs, stream_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: a shell that was told to be interactive, and has no person at its input.

    That is how commands are relayed where the shell itself must not have the socket.
    """
    return among(rows, pc.and_(stream_is(rows, 0, "pipe"), executed(rows)), _waits)


def _waits(rows: pa.Table) -> Mask:
    told = pc.and_(runs(rows, SHELLS), is_interactive(rows))
    return pc.and_(told, takes_commands(rows))


INDICATOR = Rule(
    IndicatorMetadata(
        id="shell-without-terminal",
        title="Interactive shell fed through a pipe",
        reason="nobody sits at this shell: something relays commands to it",
        table="processes",
        severity="medium",
        attack=(Technique("T1059.004"),),
        confidence="medium",
        compliance=NETWORK,
    ),
    bad=_bad,
    suspect=everything,
)
