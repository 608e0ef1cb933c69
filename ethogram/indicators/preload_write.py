"""The list of libraries that every program loads, written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="preload-write",
        title="Library preloaded into every program",
        reason="a library named there is loaded into every program that starts",
        table="files",
        severity="high",
        attack=(Technique("T1574.006"),),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/ld\.so\.(?:preload|conf|conf\.d/[^/]+)$|/etc/ld-musl-[a-z0-9_]+\.path$",
)
