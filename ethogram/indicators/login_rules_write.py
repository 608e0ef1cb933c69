"""The rules of logging in, written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="login-rules-write",
        title="Rules of logging in written",
        reason="they decide which password is right",
        table="files",
        severity="high",
        attack=(Technique("T1556.003"),),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/pam\.(?:conf|d/[^/]+)$|/security/pam_[^/]+\.so$|/etc/security/[^/]+\.conf$",
)
