"""What another process has in its memory or environment, read."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import SECRETS
from ethogram.indicators.predicates import (
    Mask,
    also,
    matching,
    opened,
    outside_runtime,
    truth,
    word_is,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_SECRETS = r"(?:^|/)proc/[0-9]+/(?:task/[0-9]+/)?(?:environ|mem|maps|auxv)$"
# These open the environment of all that they list, whatever they were asked for. Who looks around
# in a session does that: there it is a deviation like any other.
_LISTED = r"(?:^|/)proc/[0-9]+/environ$"
_LISTS = r"^/(?:usr/)?bin/(?:ps|pgrep|pkill|pidwait|top|w)$"
_ITS_OWN = r"(?:^|/)(?:self|thread-self)(?:/task/[0-9]+)?/[a-z]+$"


def _bad(rows: pa.Table) -> Mask:
    """Judge by the resolved path; what asked for itself by that name may read its own."""
    read = pc.and_(opened(rows, Access.READ), outside_runtime(rows))
    others = also(read, lambda: matching(rows.column("path"), _SECRETS))
    others = also(others, lambda: pc.invert(truth(matching(rows.column("asked"), _ITS_OWN))))
    return also(others, lambda: pc.invert(_is_listing(rows)))


def _is_listing(rows: pa.Table) -> pa.BooleanArray:
    in_session = truth(word_is(rows.column("phase"), "exec"))
    listed = also(in_session, lambda: truth(matching(rows.column("path"), _LISTED)))
    return truth(also(listed, lambda: truth(matching(rows.column("exe_path"), _LISTS))))


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
