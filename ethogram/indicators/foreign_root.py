"""A container that opens files by way of the root directory of a process."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import CONTAINMENT
from ethogram.indicators.predicates import Mask, also, asked_or_path, outside_runtime, tried
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_THROUGH = r"(?:^|/)proc/[0-9]+/(?:task/[0-9]+/)?(?:root|cwd)(?:/|$)"


def _bad(rows: pa.Table) -> Mask:
    """Judge by the string that was asked for; where it led says the resolved path."""
    inside = pc.and_(rows.column("instance_is_container"), outside_runtime(rows))
    every = Access.READ | Access.WRITE | Access.PATH_ONLY
    return also(pc.and_(inside, tried(rows, every)), lambda: asked_or_path(rows, _THROUGH))


INDICATOR = Rule(
    IndicatorMetadata(
        id="foreign-root",
        title="File opened through the root of a process",
        reason="the link to the root of a process leads past what the container has mounted",
        table="files",
        severity="high",
        attack=(Technique("T1611"),),
        confidence="medium",
        compliance=CONTAINMENT,
    ),
    bad=_bad,
    suspect=everything,
)
