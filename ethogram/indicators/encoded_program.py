"""An interpreter that was told to decode something and execute it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.predicates import (
    INTERPRETERS,
    Mask,
    among,
    executed,
    matching,
    runs,
    words,
)
from ethogram.indicators.protocol import IndicatorMetadata, Technique
from ethogram.indicators.rule import Rule, everything

__all__ = ["INDICATOR"]

_DECODES = (
    r"(?i)b(?:64|32|85)decode|decodebytes|fromhex|unhexlify|codecs\.decode|base64_decode"
    r"|decode_base64|\batob\(|['\"](?:base64|hex)['\"]|gzinflate|marshal\.loads|pack\(\s*['\"]H"
)
_EXECUTES = r"(?i)\b(?:exec|eval|system|compile|popen|spawn\w*|child_process|Function)\b"


def _bad(rows: pa.Table) -> Mask:
    """Judge at exec, by the program in the arguments."""
    return among(rows, executed(rows), _runs_what_it_decodes)


def _runs_what_it_decodes(rows: pa.Table) -> Mask:
    return among(rows, runs(rows, INTERPRETERS), _both)


def _both(rows: pa.Table) -> Mask:
    arguments = words(rows)
    return pc.and_(matching(arguments, _DECODES), matching(arguments, _EXECUTES))


INDICATOR = Rule(
    IndicatorMetadata(
        id="encoded-program",
        title="Interpreter told to decode a program and run it",
        reason="the program was encoded so that nobody would read it before it ran",
        table="processes",
        severity="medium",
        attack=(Technique("T1140"), Technique("T1027"), Technique("T1059")),
        confidence="medium",
        compliance=EXECUTION,
    ),
    bad=_bad,
    suspect=everything,
)
