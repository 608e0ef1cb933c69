"""A program of the system that was written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="program-write",
        title="Program of the system written",
        reason="who starts the program next starts what was written there",
        table="files",
        severity="high",
        attack=(Technique("T1554"),),
        confidence="medium",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"^/(?:usr/(?:local/)?)?s?bin/[^/]+$",
)
