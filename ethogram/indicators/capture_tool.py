"""A program that records the traffic of a network."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import TOOLS
from ethogram.indicators.predicates import Mask, among, executed, runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_TOOLS = (
    r"tcpdump|tshark|dumpcap|wireshark|ngrep|ettercap|bettercap|dsniff|mitmproxy|mitmdump|responder"
    r"|tcpflow|netsniff-ng|sslstrip"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the name of the program."""
    return among(rows, executed(rows), lambda some: runs(some, _TOOLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="capture-tool",
        title="Tool that records network traffic",
        reason="what others send can be read, passwords with it",
        table="processes",
        severity="medium",
        attack=(Technique("T1040"), Technique("T1557")),
        confidence="medium",
        compliance=TOOLS,
        gate="baseline",
    ),
    bad=_bad,
)
