"""A key to log in with that was written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="login-key-write",
        title="Way to log in written",
        reason="who holds the key can come back",
        table="files",
        severity="high",
        attack=(Technique("T1098.004"),),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/\.ssh/(?:authorized_keys2?|rc|environment)$|/etc/ssh/(?:sshd_config(?:\.d/[^/]+)?|sshrc)$",
    r"/etc/ssh/authorized_keys(?:\.d)?/",
)
