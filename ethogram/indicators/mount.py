"""A container that mounts or unmounts, or tries to."""

from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="mount",
        title="Mount in a container",
        reason="a mount can be a way to the host, and an unmount show what it hid; attempts count",
        table="privileges",
        severity="medium",
        attack=(Technique("T1611"),),
        confidence="medium",
        compliance=CONTAINMENT,
        gate="baseline",
    ),
    "mount",
    "umount",
    "move_mount",
    "open_tree",
    in_containers=True,
)
