"""A process that writes into another or takes its files, or tries to."""

from ethogram.indicators.compliance import PRIVILEGE
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="process-write",
        title="Memory or files of another process taken",
        reason="code and connections of another process can be taken over that way; attempts count",
        table="privileges",
        severity="high",
        attack=(Technique("T1055"),),
        confidence="high",
        compliance=PRIVILEGE,
        gate="baseline",
    ),
    "process_vm_write",
    "pidfd_getfd",
)
