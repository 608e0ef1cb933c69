"""A process that calls itself as if it were a thread of the kernel."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import Mask, among, executed, matching, words
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_IN_BRACKETS = r"^\[[^\x00\]]+\](?:\x00|$)"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: `ps` shows kernel threads in brackets, and they execute nothing."""
    return among(rows, executed(rows), lambda some: matching(words(some), _IN_BRACKETS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="masquerade",
        title="Process named like a kernel thread",
        reason="it was started under a name in brackets, which only the kernel's threads have",
        table="processes",
        severity="high",
        attack=(Technique("T1036.011"), Technique("T1036.004")),
        confidence="high",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
