"""An executable that is not from the image: the container itself wrote it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import SYSTEM_DIRECTORIES, Mask, executed, has_any, matching
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the overlay's upper layer; directories of programs are judged apart."""
    upper = has_any(rows.column("flags"), ProcessFlag.UPPER_LAYER)
    elsewhere = pc.invert(matching(rows.column("exe_path"), SYSTEM_DIRECTORIES))
    return pc.and_(pc.and_(upper, executed(rows)), pc.fill_null(elsewhere, fill_value=True))


INDICATOR = Rule(
    IndicatorMetadata(
        id="dropped-executable",
        title="Executable that is not from the image",
        reason="it was written in the container after that had started",
        table="processes",
        severity="high",
        attack=(Technique("T1105"), Technique("T1036")),
        confidence="high",
        compliance=EXECUTION,
        gate="baseline",
    ),
    bad=_bad,
)
