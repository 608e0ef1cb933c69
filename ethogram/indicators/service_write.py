"""A definition of a service that was written."""

from ethogram.indicators.compliance import CHANGE
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.writes import on_writes

__all__ = ["INDICATOR"]

INDICATOR = on_writes(
    IndicatorMetadata(
        id="service-write",
        title="Service of systemd written",
        reason="what it says is executed when the service starts",
        table="files",
        severity="high",
        attack=(Technique("T1543.002"), Technique("T1053.006")),
        confidence="high",
        compliance=CHANGE,
        gate="baseline",
    ),
    r"/systemd/(?:system|user)/(?:[^/]+\.(?:d|wants|requires)/)?[^/]+"
    r"\.(?:service|timer|socket|path|mount|automount|target|conf)$",
    r"/systemd/(?:system|user)-generators/[^/]+$",
)
