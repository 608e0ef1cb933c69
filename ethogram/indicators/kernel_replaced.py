"""A kernel that is to be replaced by another, or an attempt to."""

from ethogram.indicators.compliance import KERNEL
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="kernel-replaced",
        title="Another kernel loaded to boot into",
        reason="kexec puts another kernel in the place of this one; attempts count",
        table="privileges",
        severity="critical",
        attack=(Technique("T1014"), Technique("T1542")),
        confidence="high",
        compliance=KERNEL,
    ),
    "kexec",
)
