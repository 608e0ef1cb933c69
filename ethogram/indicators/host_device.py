"""A container that opens a disk or the memory of the machine, or tries to."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.predicates import Mask, also, matching, outside_runtime, tried
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_DEVICES = (
    r"(?:^|/)dev/(?:mem|kmem|port|sd[a-z]+[0-9]*|hd[a-z]+[0-9]*|x?vd[a-z]+[0-9]*"
    r"|nvme[0-9]+n[0-9]+(?:p[0-9]+)?|mmcblk[0-9]+(?:p[0-9]+)?|dm-[0-9]+|md[0-9]+|loop[0-9]+"
    r"|loop-control|mapper/[^/]+|disk/.+)$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge by the path: of what kind a file is nobody records."""
    inside = pc.and_(rows.column("instance_is_container"), outside_runtime(rows))
    wanted = pc.and_(inside, tried(rows, Access.READ | Access.WRITE))
    return also(wanted, lambda: matching(rows.column("path"), _DEVICES))


INDICATOR = Rule(
    IndicatorMetadata(
        id="host-device",
        title="Disk or memory of the machine opened in a container",
        reason="below file systems no permission and no mount holds; attempts count",
        table="files",
        severity="high",
        attack=(Technique("T1611"), Technique("T1006")),
        confidence="high",
        compliance=CONTAINMENT,
        gate="baseline",
    ),
    bad=_bad,
)
