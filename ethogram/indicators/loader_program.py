"""A program that was started through the dynamic loader."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import Mask, among, base_name_is, executed, matching, words
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule

__all__ = ["INDICATOR"]

_LOADERS = (
    r"ld-linux[a-z0-9_-]*\.so\.[0-9]+|ld-musl-[a-z0-9_]+\.so\.1|ld64?\.so\.[0-9]+"
    r"|ld-[0-9.]+\.so"
)
# `ldd` has it list or verify: those options are not among these.
_STARTS = (
    r"^[^\x00]*(?:\x00--(?:inhibit-cache|(?:library-path|preload|argv0|inhibit-rpath|audit"
    r"|glibc-hwcaps-prepend|glibc-hwcaps-mask)\x00[^\x00]*))*\x00[^-\x00]"
)


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec: the executable is the loader where it was asked for by name."""
    loader = pc.and_(base_name_is(rows.column("exe_path"), _LOADERS), executed(rows))
    return among(rows, loader, lambda some: matching(words(some), _STARTS))


INDICATOR = Rule(
    IndicatorMetadata(
        id="loader-program",
        title="Program started through the dynamic loader",
        reason="so a file runs that may not be executed, and under the loader's name",
        table="processes",
        severity="medium",
        attack=(Technique("T1574"), Technique("T1036")),
        confidence="medium",
        compliance=EXECUTION,
        gate="baseline",
    ),
    bad=_bad,
)
