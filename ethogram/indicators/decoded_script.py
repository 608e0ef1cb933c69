"""A shell that executes what was decoded a moment before."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ethogram.indicators.compliance import EXECUTION
from ethogram.indicators.pipes import on_pipes
from ethogram.indicators.predicates import Mask, matching, runs, words
from ethogram.indicators.protocol import IndicatorMetadata, Technique

__all__ = ["INDICATOR"]

_DECODES = r"\x00(?:-[a-zA-Z]*[dD][a-zA-Z]*|--?dec(?:o(?:de?)?)?)(?:\x00|$)"
_REVERTS = r"\x00-[a-zA-Z]*r[a-zA-Z]*(?:\x00|$)"


def _decodes(rows: pa.Table) -> Mask:
    arguments = words(rows)
    decoder = pc.and_(runs(rows, "base64|base32|basenc|openssl"), matching(arguments, _DECODES))
    dump = pc.and_(runs(rows, "xxd"), matching(arguments, _REVERTS))
    return pc.or_kleene(pc.or_kleene(decoder, dump), runs(rows, "uudecode"))


INDICATOR = on_pipes(
    IndicatorMetadata(
        id="decoded-script",
        title="Shell fed from a decoder",
        reason="commands were encoded so that nobody would read them before they ran",
        table="processes",
        severity="medium",
        attack=(Technique("T1140"), Technique("T1027"), Technique("T1059.004")),
        confidence="medium",
        compliance=EXECUTION,
    ),
    source=_decodes,
)
