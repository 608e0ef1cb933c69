"""A kernel module that was loaded or removed, or an attempt to."""

from ethogram.indicators.compliance import KERNEL
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="kernel-module",
        title="Kernel module loaded or removed",
        reason="a module is code in the kernel, below every boundary there is; attempts count",
        table="privileges",
        severity="critical",
        attack=(Technique("T1547.006"), Technique("T1014")),
        confidence="high",
        compliance=KERNEL,
    ),
    "load_module",
)
