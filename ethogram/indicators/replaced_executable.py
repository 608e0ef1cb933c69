"""An executable among the system's programs that is not from the image."""

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
    """Judge at exec by the overlay's upper layer and by the directory."""
    upper = has_any(rows.column("flags"), ProcessFlag.UPPER_LAYER)
    in_system = matching(rows.column("exe_path"), SYSTEM_DIRECTORIES)
    return pc.and_(pc.and_(upper, executed(rows)), in_system)


INDICATOR = Rule(
    IndicatorMetadata(
        id="replaced-executable",
        title="Program of the system replaced or added",
        reason="it has the place of a program of the image, and the container wrote it",
        table="processes",
        severity="high",
        attack=(Technique("T1554"), Technique("T1036.005")),
        confidence="high",
        compliance=EXECUTION,
        gate="baseline",
    ),
    bad=_bad,
)
