"""A capability that raw and packet sockets need, used."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.capabilities import capability_number
from ethogram.indicators.compliance import NETWORK_RAW
from ethogram.indicators.predicates import Mask, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_NET_RAW = capability_number("CAP_NET_RAW")


def _bad(rows: pa.Table) -> Mask:
    """Judge by the capability: raw and packet sockets are rows of `network` as well."""
    used = pc.and_(pc.equal(rows.column("capability"), _NET_RAW), rows.column("granted"))
    return pc.and_(used, outside_runtime(rows))


INDICATOR = Rule(
    IndicatorMetadata(
        id="raw-socket",
        title="Raw network access used",
        reason="with raw sockets a process reads what others send, and sends what it likes",
        table="privileges",
        severity="medium",
        attack=(Technique("T1040"),),
        confidence="medium",
        compliance=NETWORK_RAW,
        gate="baseline",
    ),
    bad=_bad,
)
