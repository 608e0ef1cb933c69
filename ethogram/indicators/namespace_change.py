"""A namespace that was made or joined, or an attempt to."""

from ethogram.indicators.compliance import NAMESPACES
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="namespace-change",
        title="Namespace made or joined",
        reason="one that is made opens the kernel to exploits, one that is joined leads elsewhere",
        table="privileges",
        severity="medium",
        attack=(Technique("T1611"), Technique("T1068")),
        confidence="medium",
        compliance=NAMESPACES,
        gate="baseline",
    ),
    "unshare",
    "clone_namespace",
    "setns",
)
