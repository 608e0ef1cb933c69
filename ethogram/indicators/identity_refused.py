"""A change of user or group that the kernel refused."""

from ethogram.indicators.compliance import PRIVILEGE
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="identity-refused",
        title="Change of user or group refused",
        reason="a process tried to become somebody that it may not become",
        table="privileges",
        severity="low",
        attack=(Technique("T1548"),),
        confidence="low",
        compliance=PRIVILEGE,
    ),
    "set_user",
    "set_group",
    outcome="refused",
    taints=False,
)
