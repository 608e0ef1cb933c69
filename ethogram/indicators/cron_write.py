"""A job for later that was written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="cron-write",
        title="Scheduled job written",
        reason="what it says is executed later, often as root",
        table="files",
        severity="high",
        attack=(Technique("T1053.003"),),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/etc/(?:ana)?crontab$|/etc/cron\.(?:d|hourly|daily|weekly|monthly|yearly)/[^/]+$",
    r"/var/spool/(?:cron|at)/(?:.*/)?[^/]+$",
)
