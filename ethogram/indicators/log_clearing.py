"""A log that was emptied, deleted, or moved away."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import LOGS
from ethogram.indicators.predicates import Mask, also, has_any, matching, opened, outside_runtime
from ethogram.indicators.protocol import IndicatorMetadata, renumbered
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_LOGS = r"(?:^|/)var/log/|/var/lib/docker/containers/[^/]+/[^/]+-json\.log$|/var/run/utmp$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by what cuts the file to nothing, or takes its name; nobody records what it held.

    A directory that is removed was empty before.
    """
    gone = opened(rows, Access.TRUNCATE | Access.UNLINK | Access.RENAME_FROM)
    file = pc.invert(has_any(rows.column("access"), Access.DIRECTORY))
    cut = pc.and_(pc.and_(gone, file), outside_runtime(rows))
    return also(cut, lambda: matching(rows.column("path"), _LOGS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="log-clearing",
        title="Log emptied or taken away",
        reason="what happened before can no longer be read there",
        table="files",
        severity="low",
        attack=renumbered("T1685.006", before="T1070.002"),
        confidence="low",
        compliance=LOGS,
        gate="baseline",
    ),
    bad=_bad,
)
