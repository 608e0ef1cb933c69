"""An executable that was deleted before it was executed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import Mask, entering, executed, has_any
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: a memfd is deleted too, but has an indicator of its own."""
    in_memory = pc.or_kleene(
        has_any(rows.column("flags"), ProcessFlag.MEMFD), rows.column("exe_memfd")
    )
    deleted = pc.and_not(
        has_any(rows.column("flags"), ProcessFlag.DELETED), pc.fill_null(in_memory, False)
    )
    return pc.and_(deleted, pc.and_not(executed(rows), entering(rows)))


INDICATOR = Rule(
    IndicatorMetadata(
        id="deleted-executable",
        title="Executable deleted before it ran",
        reason="what runs has no name in a file system any more: nobody can look at it",
        table="processes",
        severity="high",
        attack=(Technique("T1070.004"),),
        confidence="medium",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
