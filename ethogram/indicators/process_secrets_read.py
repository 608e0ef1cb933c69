"""What another process has in its memory or environment, read."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import Mask, also, matching, opened, outside_runtime, truth
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_SECRETS = r"(?:^|/)proc/[0-9]+/(?:task/[0-9]+/)?(?:environ|mem|maps|auxv)$"
_ITS_OWN = r"(?:^|/)(?:self|thread-self)(?:/task/[0-9]+)?/[a-z]+$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by the resolved path; what asked for itself by that name may read its own."""
    read = pc.and_(opened(rows, Access.READ), outside_runtime(rows))
    others = also(read, lambda: matching(rows.column("path"), _SECRETS))
    return also(others, lambda: pc.invert(truth(matching(rows.column("asked"), _ITS_OWN))))


INDICATOR = Rule(
    IndicatorMetadata(
        id="process-secrets-read",
        title="Environment or memory of a process read",
        reason="passwords and keys are in the environment and the memory of who uses them",
        table="files",
        severity="medium",
        attack=(Technique("T1552"), Technique("T1003.007"), Technique("T1055.009")),
        confidence="medium",
        compliance=SECRETS,
        gate="baseline",
    ),
    bad=_bad,
)
