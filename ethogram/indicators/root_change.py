"""A container that changes its root directory, or tries to."""

from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="root-change",
        title="Root directory changed in a container",
        reason="another root was a way out of containers more than once; attempts count",
        table="privileges",
        severity="medium",
        attack=(Technique("T1611"),),
        confidence="medium",
        compliance=CONTAINMENT,
        gate="baseline",
    ),
    "chroot",
    "pivot_root",
    in_containers=True,
)
