"""The memory of another process, opened for writing."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import PRIVILEGE
from ethogram.indicators.predicates import Mask, also, matching, outside_runtime, tried, truth
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_MEMORY = r"(?:^|/)proc/[0-9]+/(?:task/[0-9]+/)?mem$"
_ITS_OWN = r"(?:^|/)(?:self|thread-self)(?:/task/[0-9]+)?/mem$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by the resolved path; what asked for itself by that name may write its own."""
    writes = pc.and_(tried(rows, Access.WRITE), outside_runtime(rows))
    memory = also(writes, lambda: matching(rows.column("path"), _MEMORY))
    return also(memory, lambda: pc.invert(truth(matching(rows.column("asked"), _ITS_OWN))))


INDICATOR = Rule(
    IndicatorMetadata(
        id="process-memory-write",
        title="Memory of a process opened for writing",
        reason="its code and its data can be replaced while it runs; attempts count",
        table="files",
        severity="high",
        attack=(Technique("T1055.009"), Technique("T1055")),
        confidence="high",
        compliance=PRIVILEGE,
    ),
    bad=_bad,
    suspect=everything,
)
