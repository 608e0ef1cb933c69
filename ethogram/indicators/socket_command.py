"""A shell that was told to take commands from a connection that it opens itself."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import SHELLS, Mask, among, executed, matching, runs, words
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_CONNECTS = r"(?:<>|[<>]&|&>)\s*/dev/(?:tcp|udp)/"
# A health check connects as well, but runs nothing that it is told.
_OBEYS = r"\beval\b|\b(?:ba|da|z|k)?sh\b\s*(?:-[a-zA-Z]*i\b|<&|[0-9]*[<>]&)"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by the program in the arguments."""
    return among(rows, executed(rows), _talks)


def _talks(rows: pa.Table) -> Mask:
    return among(rows, runs(rows, SHELLS), _both)


def _both(rows: pa.Table) -> Mask:
    arguments = words(rows)
    return pc.and_(matching(arguments, _CONNECTS), matching(arguments, _OBEYS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="socket-command",
        title="Shell told to obey a connection",
        reason="it opens a connection and executes what comes from there",
        table="processes",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1095")),
        confidence="medium",
        compliance=NETWORK,
    ),
    bad=_bad,
    suspect=everything,
)
