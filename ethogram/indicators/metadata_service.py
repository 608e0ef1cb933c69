"""A connection to the metadata service of a cloud."""

from __future__ import annotations

import ipaddress

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import Mask, by_tool, outside_runtime, word_is
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_ADDRESSES = pa.array(
    [
        ipaddress.ip_address(address).packed
        for address in (
            "169.254.169.254",  # AWS, Azure, Google, OpenStack, DigitalOcean, Oracle
            "fd00:ec2::254",
            "169.254.170.2",  # credentials of AWS tasks
            "169.254.170.23",  # of AWS pods
            "fd00:ec2::23",
            "100.100.100.200",  # Alibaba
            "169.254.0.23",  # Tencent
        )
    ],
    pa.binary(),
)
_NAMES_AND_TIME = pa.array([53, 123], pa.uint16())  # Google answers both at the same address


def _bad(rows: pa.Table) -> Mask:
    """Judge outgoing connections by address."""
    there = pc.is_in(rows.column("peer_addr"), value_set=_ADDRESSES)
    out = pc.and_(word_is(rows.column("direction"), "out"), outside_runtime(rows))
    harmless = pc.is_in(rows.column("peer_port"), value_set=_NAMES_AND_TIME)
    return pc.and_(out, pc.and_not(there, harmless))


INDICATOR = Rule(
    IndicatorMetadata(
        id="metadata-service",
        title="Metadata service of the cloud asked",
        reason="it gives out credentials of the machine to whoever asks",
        table="network",
        severity="high",
        attack=(Technique("T1552.005"),),
        confidence="high",
        compliance=NETWORK,
        gate="baseline",
    ),
    bad=_bad,
    suspect=by_tool,
)
