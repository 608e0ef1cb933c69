"""A performance event that was opened, or an attempt to."""

from ethogram.indicators.compliance import KERNEL
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="performance-event",
        title="Performance event opened",
        reason="perf_event_open was a way into the kernel more than once; profilers use it too",
        table="privileges",
        severity="low",
        attack=(Technique("T1068"),),
        confidence="medium",
        compliance=KERNEL,
        gate="baseline",
    ),
    "perf_event_open",
)
