"""A running shell or interpreter that makes a socket its standard input."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import (
    INTERPRETERS,
    SHELLS,
    Mask,
    among,
    base_name_is,
    matching,
    outside_runtime,
    word_is,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

# A UNIX socket is how a program talks with what it started.
_REMOTE = r"^(?:inet6?|vsock)$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by who did it: what only forked, to execute something at once, is no process yet."""
    moved = pc.and_(word_is(rows.column("operation"), "input_socket"), outside_runtime(rows))
    return among(rows, moved, _by_who_obeys)


def _by_who_obeys(rows: pa.Table) -> Mask:
    obeys = base_name_is(rows.column("exe_path"), rf"{SHELLS}|{INTERPRETERS}")
    return pc.and_(obeys, matching(rows.column("target"), _REMOTE))


INDICATOR = Rule(
    IndicatorMetadata(
        id="moved-input",
        title="Shell or interpreter that moved a socket to its standard input",
        reason="what comes from the other end of the connection is what it reads as commands",
        table="privileges",
        severity="high",
        attack=(Technique("T1059.004"), Technique("T1059.006")),
        confidence="medium",
        compliance=NETWORK,
        gate="baseline",
    ),
    bad=_bad,
)
