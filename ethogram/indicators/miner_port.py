"""A connection to a port at which mining pools listen."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import Mask, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

# Those of the pools that hardly anything else has.
_PORTS = pa.array(
    [3333, 3334, 3335, 3336, 5555, 6666, 7777, 9999, 13333, 14433, 14444, 20535, 45560, 45700],
    pa.uint16(),
)
_TCP = 6


def _bad(rows: pa.Table) -> Mask:
    """Judge outgoing connections by port, which is weak evidence alone."""
    out = pc.and_(word_is(rows.column("direction"), "out"), outside_runtime(rows))
    tcp = pc.equal(rows.column("protocol"), _TCP)
    return pc.and_(pc.and_(out, tcp), pc.is_in(rows.column("peer_port"), value_set=_PORTS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="miner-port",
        title="Connection to a port of mining pools",
        reason="mining pools listen at this port, and few others do",
        table="network",
        severity="low",
        attack=(Technique("T1496"), Technique("T1571")),
        confidence="low",
        compliance=NETWORK,
        gate="baseline",
    ),
    bad=_bad,
)
