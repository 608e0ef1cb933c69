"""A container that opens files by their handles, or tries to."""

from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="file-handle",
        title="File opened by its handle",
        reason="a handle reaches every file of a file system, past what is mounted; attempts count",
        table="privileges",
        severity="high",
        attack=(Technique("T1611"),),
        confidence="high",
        compliance=CONTAINMENT,
    ),
    "open_by_handle",
    in_containers=True,
)
