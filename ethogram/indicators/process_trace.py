"""A process that traces another, or tries to."""

from ethogram.indicators.compliance import PRIVILEGE
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="process-trace",
        title="Process traced",
        reason="a tracer reads and changes what it traces, memory and calls; attempts count",
        table="privileges",
        severity="high",
        attack=(Technique("T1055.008"),),
        confidence="medium",
        compliance=PRIVILEGE,
        gate="baseline",
    ),
    "ptrace",
)
