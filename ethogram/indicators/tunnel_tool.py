"""A program that relays connections or hides them in others."""

from __future__ import annotations

import pyarrow as pa

from ethogram.indicators.compliance import TOOLS
from ethogram.indicators.predicates import Mask, among, executed, runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_TOOLS = (
    r"nc(?:\.(?:openbsd|traditional))?|ncat|netcat|socat|chisel|gost|frpc|frps|ngrok|bore|rathole"
    r"|ligolo(?:-ng)?|iodined?|dnscat2?|dns2tcp[cd]?|ptunnel(?:-ng)?|proxychains4?|revsocks|gs-netcat"
    r"|pwncat(?:-cs)?|cloudflared"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec by the name of the program."""
    return among(rows, executed(rows), lambda some: runs(some, _TOOLS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="tunnel-tool",
        title="Tool that relays or tunnels connections",
        reason="it carries what others say past the rules for connections",
        table="processes",
        severity="medium",
        attack=(Technique("T1572"), Technique("T1095")),
        confidence="medium",
        compliance=TOOLS,
        gate="baseline",
    ),
    bad=_bad,
)
