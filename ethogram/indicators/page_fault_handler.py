"""A process that wants to answer page faults itself, or an attempt to."""

from ethogram.indicators.compliance import KERNEL
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="page-fault-handler",
        title="Page faults handled in user space",
        reason="userfaultfd lets a process stop the kernel halfway, which exploits win races by",
        table="privileges",
        severity="medium",
        attack=(Technique("T1068"),),
        confidence="medium",
        compliance=KERNEL,
        gate="baseline",
    ),
    "userfaultfd",
)
