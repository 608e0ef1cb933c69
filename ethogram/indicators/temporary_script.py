"""A script in a directory for temporary files that something runs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.contracts.flags import Access
from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import (
    INTERPRETERS,
    SHELLS,
    Mask,
    also,
    base_name_is,
    matching,
    opened,
    outside_runtime,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_SCRIPTS = (
    r"^/(?:tmp|var/tmp|dev/shm|run/shm|run/user/[0-9]+)/(?:.*/)?[^/]+"
    r"\.(?:sh|bash|py|pyc|pl|rb|php|lua|m?js)$"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge by who reads the file: a shell or an interpreter, and by what it is called."""
    read = pc.and_(opened(rows, Access.READ), outside_runtime(rows))
    runs = base_name_is(rows.column("exe_path"), f"{SHELLS}|{INTERPRETERS}")
    return also(pc.and_(read, runs), lambda: matching(rows.column("path"), _SCRIPTS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="temporary-script",
        title="Script in a directory for temporary files",
        reason="scripts are installed elsewhere: what is run from here was put here",
        table="files",
        severity="medium",
        attack=(
            Technique("T1059"),
            Technique("T1059.004"),
            Technique("T1059.006"),
            Technique("T1105"),
        ),
        confidence="medium",
        compliance=EXECUTION,
        gate="baseline",
    ),
    bad=_bad,
)
