"""The list of accounts, written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="accounts-write",
        title="Accounts or passwords written",
        reason="it says who exists, and with which password",
        table="files",
        severity="high",
        attack=(Technique("T1136.001"), Technique("T1098")),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/(?:passwd|group|g?shadow|subuid|subgid)[-+]?$|/etc/n(?:passwd|group|shadow)$",
)
