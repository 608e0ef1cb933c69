"""A file that gives privileges to who executes it."""

from ethogram.indicators.compliance import PRIVILEGE
from ethogram.indicators.operations import on_operations
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_operations(
    IndicatorMetadata(
        id="privileged-file",
        title="Set-id bit or capability given to a file",
        reason="who executes the file gets rights that he did not have",
        table="privileges",
        severity="medium",
        attack=(Technique("T1548.001"),),
        confidence="medium",
        compliance=PRIVILEGE,
        gate="baseline",
    ),
    "chmod_set_id",
    "set_file_capability",
    outcome="granted",
)
