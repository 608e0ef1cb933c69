"""A container that was started with all that keeps it from its host taken away."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.compliance import PRIVILEGED
from ethogram.indicators.predicates import Mask, executed, has_any, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR", "TELLING"]

# Each of them alone is enough to leave; only what is privileged has all of them.
TELLING = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"})
_TELLING = sum(1 << CAPABILITIES.index(name) for name in TELLING)
_NO_FILTER = 0


def _bad(rows: pa.Table) -> Mask:
    """Judge the container's first process, by its bounding set and its seccomp mode."""
    first = pc.equal(rows.column("exec_id"), rows.column("session_exec_id"))
    entered = has_any(rows.column("flags"), ProcessFlag.ENTERED)
    own = pc.and_(pc.and_not(first, entered), rows.column("instance_is_container"))
    own = pc.and_(pc.and_(own, executed(rows)), outside_runtime(rows))
    bounding = rows.column("caps_bounding")
    telling = pa.scalar(_TELLING, pa.uint64())
    is_unbounded = pc.equal(pc.bit_wise_and(bounding, telling), telling)
    return pc.and_(pc.and_(own, is_unbounded), pc.equal(rows.column("seccomp_mode"), _NO_FILTER))


INDICATOR = Rule(
    IndicatorMetadata(
        id="privileged-container",
        title="Privileged container started",
        reason="nothing keeps it from its host: it has the capabilities to leave, and no filter",
        table="processes",
        severity="medium",
        attack=(Technique("T1610"),),
        confidence="high",
        compliance=PRIVILEGED,
        asked_by="watch",
    ),
    bad=_bad,
)
