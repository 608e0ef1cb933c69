"""A process of a container that is in a namespace of the host."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import NAMESPACES
from ethogram.indicators.predicates import Mask, entering, executed, has_any
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

# mnt pid net uts ipc user. The time namespace says nothing, the cgroup namespace little: runtimes
# join it later than the others.
_TELLING = 0b0011_1111


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the effect: the namespaces that the process is in, not what it asked for."""
    own = pc.bit_wise_not(rows.column("instance_namespace_bits"))
    became = pc.bit_wise_and(rows.column("host_namespace_bits"), own)
    inside = pc.and_not(rows.column("instance_is_container"), entering(rows))
    return pc.and_(has_any(became, _TELLING), pc.and_(inside, executed(rows)))


INDICATOR = Rule(
    IndicatorMetadata(
        id="host-namespace",
        title="Container process in a namespace of the host",
        reason="it is in a namespace that its container does not share with the host: it got out",
        table="processes",
        severity="critical",
        attack=(Technique("T1611"),),
        confidence="high",
        compliance=NAMESPACES,
    ),
    bad=_bad,
    suspect=everything,
)
