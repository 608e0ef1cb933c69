"""A question for the address of a mining pool."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import NETWORK
from ethogram.indicators.predicates import Mask, matching
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_POOLS = (
    r"(?:^|\.)(?:(?:minexmr|supportxmr|hashvault|herominers|unmineable|nicehash|2miners|f2pool"
    r"|c3pool|miningpoolhub|monerohash|minergate|moneropool|nanopool|antpool|viabtc|woolypooly"
    r"|luckpool|zergpool|kryptex|crypto-pool|coinhive|xmrpool|dwarfpool|suprnova|ethermine"
    r"|flypool|sparkpool|poolin|slushpool)\.(?:com|org|net|pro|eu|cc|fr|io|de|network|xyz)"
    r"|moneroocean\.stream|hashrefinery\.com|prohashing\.com|rplant\.xyz)$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge the name that was asked for, whatever was answered."""
    return matching(rows.column("qname"), _POOLS)


INDICATOR = Rule(
    IndicatorMetadata(
        id="miner-pool",
        title="Mining pool looked up",
        reason="nothing but a miner has business there",
        table="dns",
        severity="high",
        attack=(Technique("T1496"), Technique("T1496.001")),
        confidence="high",
        compliance=NETWORK,
    ),
    bad=_bad,
)
