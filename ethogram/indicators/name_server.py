"""A name server that the workload did not ask while it was learnt."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.predicates import Mask, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_PORTS = pa.array([53, 853], pa.uint16())


def _bad(rows: pa.Table) -> Mask:
    """Judge outgoing datagrams and connections by port."""
    out = pc.and_(word_is(rows.column("direction"), "out"), outside_runtime(rows))
    return pc.and_(out, pc.is_in(rows.column("peer_port"), value_set=_PORTS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="name-server",
        title="Another name server asked",
        reason="names asked elsewhere carry data past the cluster's own name servers",
        table="network",
        severity="medium",
        attack=(Technique("T1071.004"),),
        gate="baseline",
    ),
    bad=_bad,
)
