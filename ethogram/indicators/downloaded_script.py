"""A shell that executes what is being downloaded."""

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.pipes import on_pipes
from ethogram.indicators.predicates import runs
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

INDICATOR = on_pipes(
    IndicatorMetadata(
        id="downloaded-script",
        title="Shell fed from a download",
        reason="whoever answers the download decides what runs, and no file is left of it",
        table="processes",
        severity="medium",
        attack=(Technique("T1105"), Technique("T1059.004")),
        confidence="medium",
        compliance=EXECUTION,
    ),
    source=lambda rows: runs(rows, "curl|wget|fetch|aria2c|lwp-download|ftp"),
)
