"""An executable that is written to while it runs, or an attempt to."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.predicates import (
    SYSTEM_DIRECTORIES,
    Mask,
    also,
    asked_or_path,
    matching,
    outside_runtime,
    tried,
    truth,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_PROCESS = r"(?:^|/)proc/(?:self|thread-self|[0-9]+)/(?:task/[0-9]+/)?"
_EXECUTABLE, _DESCRIPTOR = rf"{_PROCESS}exe$", rf"{_PROCESS}fd/[0-9]+$"
_IS_RUNNING = 26  # ETXTBSY


def _bad(rows: pa.Table) -> Mask:
    """Judge by the string that was asked for: the link of a process to what it runs.

    Also through a descriptor that stands for a program, as in the overwriting of runc.
    """
    writes = pc.and_(tried(rows, Access.WRITE), outside_runtime(rows))
    return also(writes, lambda: _is_own(rows))


def _is_own(rows: pa.Table) -> Mask:
    program = pc.or_(
        truth(matching(rows.column("path"), SYSTEM_DIRECTORIES)),
        truth(pc.equal(rows.column("errno"), _IS_RUNNING)),
    )
    through = also(asked_or_path(rows, _DESCRIPTOR), lambda: program)
    return pc.or_(asked_or_path(rows, _EXECUTABLE), through)


INDICATOR = Rule(
    IndicatorMetadata(
        id="own-executable-write",
        title="Running executable opened for writing",
        reason="through the link to what a process runs, a container overwrote its runtime",
        table="files",
        severity="high",
        attack=(Technique("T1611"),),
        confidence="medium",
        compliance=CONTAINMENT,
    ),
    bad=_bad,
    suspect=everything,
)
