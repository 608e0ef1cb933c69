"""A log that was emptied."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.predicates import Mask, matching, opened, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, renumbered
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_LOGS = r"(?:^|/)var/log/|/var/lib/docker/containers/[^/]+/[^/]+-json\.log$|/var/run/utmp$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by the open that cuts the file to nothing; whether it held anything nobody records."""
    cut = pc.and_(opened(rows, Access.TRUNCATE), outside_runtime(rows))
    return pc.and_(cut, matching(rows.column("path"), _LOGS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="log-clearing",
        title="Log emptied",
        reason="what happened before can no longer be read there",
        table="files",
        severity="low",
        attack=renumbered("T1685.006", before="T1070.002"),
        gate="baseline",
    ),
    bad=_bad,
)
