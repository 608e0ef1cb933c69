"""An executable that never was in a file system: an anonymous file in memory."""

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
    """Judge at exec.

    runc executes a sealed copy of itself from memory on its way into a container. What the runtime
    does is not judged, what the workload executes later is, in a session as well.
    """
    in_memory = pc.or_kleene(
        has_any(rows.column("flags"), ProcessFlag.MEMFD), rows.column("exe_memfd")
    )
    return pc.and_(in_memory, pc.and_not(executed(rows), entering(rows)))


INDICATOR = Rule(
    IndicatorMetadata(
        id="fileless-executable",
        title="Executable in anonymous memory",
        reason="what runs was never a file: neither the image nor a disk has it",
        table="processes",
        severity="critical",
        attack=(Technique("T1620"),),
        confidence="high",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
