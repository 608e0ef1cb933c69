"""A service-account token that was read by something new."""

from __future__ import annotations

import pyarrow as pa

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import TOKENS
from ethogram.indicators.predicates import Mask, also, by_tool, matching, opened
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

# Projected volumes resolve to a directory named after the time of the last rotation.
_TOKENS = (
    r"/secrets/(?:kubernetes\.io/serviceaccount|eks\.amazonaws\.com/serviceaccount|azure/tokens"
    r"|tokens|workload-identity)/(?:\.\.[^/]+/)?[a-z-]*token$"
    r"|/kubernetes\.io~projected/[^/]+/(?:\.\.[^/]+/)?token$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge resolved paths of successful opens for reading."""
    read = opened(rows, Access.READ)
    return also(read, lambda: matching(rows.column("path"), _TOKENS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="service-account-token",
        title="Service-account token read",
        reason="who has the token speaks to the API server, or to a cloud, as this workload",
        table="files",
        severity="high",
        attack=(Technique("T1528"), Technique("T1552.007")),
        confidence="medium",
        compliance=TOKENS,
        gate="baseline",
    ),
    bad=_bad,
    suspect=by_tool,
)
