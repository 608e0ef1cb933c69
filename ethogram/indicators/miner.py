"""A program that mines cryptocurrency."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import (
    Mask,
    among,
    base_name_is,
    executed,
    matching,
    runs,
    words,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_MINERS = (
    r"xmrig(?:-[a-z]+|daemon)?|xmr-stak(?:-[a-z]+)?|minerd|cpuminer(?:-[a-z0-9]+)?|ccminer"
    r"|cgminer|bfgminer|ethminer|nbminer|t-rex|lolminer|phoenixminer|teamredminer|gminer"
    r"|srbminer(?:-[a-z]+)?|nanominer|kdevtmpfsi|kinsing"
)
_ARGUMENTS = (
    r"(?i)stratum[12]?\+(?:tcp|ssl|tls|udp|http)s?://|\x00--donate-level(?:=|\x00)"
    r"|\x00--randomx-|\x00--(?:algo|coin)[=\x00](?:rx/|randomx|cn/|cryptonight|monero|kawpow|ethash)"
)
_SEARCHES = r"[efz]?grep|rg|ag|sed|awk|gawk|mawk"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by the name of the program or by what it is told."""
    return among(rows, executed(rows), _mines)


def _mines(rows: pa.Table) -> Mask:
    told = matching(words(rows), _ARGUMENTS)
    looks = pc.fill_null(base_name_is(rows.column("exe_path"), _SEARCHES), fill_value=False)
    return pc.or_kleene(runs(rows, _MINERS), pc.and_not(told, looks))


INDICATOR = Rule(
    IndicatorMetadata(
        id="miner",
        title="Cryptocurrency miner",
        reason="its name or its arguments are those of a program that mines",
        table="processes",
        severity="critical",
        attack=(Technique("T1496"), Technique("T1496.001")),
        confidence="high",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
