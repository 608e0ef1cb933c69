"""The rules of sudo, written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="sudo-rules-write",
        title="Rules of sudo written",
        reason="they say who may become root",
        table="files",
        severity="high",
        attack=(Technique("T1548.003"),),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/sudoers$|/etc/sudoers\.d/[^/]+$|/etc/doas\.(?:conf|d/[^/]+)$|/etc/sudo\.conf$",
)
