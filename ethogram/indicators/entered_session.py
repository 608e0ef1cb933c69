"""A person at a terminal in a container, who came in from outside."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import ProcessFlag
from ethogram.indicators.compliance import ACCESS
from ethogram.indicators.predicates import (
    SHELLS,
    Mask,
    among,
    entering,
    executed,
    has_any,
    runs,
    stream_is,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: a shell on a terminal, in a tree that entered a container that ran already.

    Probes enter as well, and have no terminal.
    """
    entered = pc.and_(has_any(rows.column("flags"), ProcessFlag.ENTERED), executed(rows))
    inside = pc.and_(entered, pc.and_not(rows.column("instance_is_container"), entering(rows)))
    at_terminal = pc.and_(inside, stream_is(rows, 0, "tty"))
    return among(rows, at_terminal, lambda some: runs(some, SHELLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="entered-session",
        title="Interactive session in a container",
        reason="somebody opened a shell in it from outside, as `kubectl exec -it` does",
        table="processes",
        severity="medium",
        attack=(Technique("T1609"),),
        confidence="high",
        compliance=ACCESS,
        asked_by="watch",
    ),
    bad=_bad,
)
