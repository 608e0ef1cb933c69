"""What an indicator is: metadata, and pure predicates over rows of one table of a recording.

Indicators are bad whatever was learnt. The learner quarantines by them and the detector alerts on
them, so a predicate sees only rows: a batch of a recording or of live events, never a clock, a
file or the rows before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

from ethogram.indicators.compliance import Tags

__all__ = [
    "ATTACK_VERSION",
    "Confidence",
    "Gate",
    "Indicator",
    "IndicatorMetadata",
    "Severity",
    "Technique",
    "renumbered",
]

# MITRE renumbers techniques between versions: an id means nothing without its version.
ATTACK_VERSION = "19"
_LAST_NUMBERING = "18"

Severity = Literal["info", "low", "medium", "high", "critical"]
Gate = Literal["always", "baseline"]
Confidence = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Technique:
    """A technique of MITRE ATT&CK, by id and by the version of the catalogue that has it."""

    technique: str
    version: str = ATTACK_VERSION


def renumbered(technique: str, before: str) -> tuple[Technique, Technique]:
    """Return a technique under its number in this version and under its last one *before*."""
    return Technique(technique), Technique(before, _LAST_NUMBERING)


@dataclass(frozen=True, slots=True)
class IndicatorMetadata:
    """What an indicator says of itself.

    *table* is the table whose rows it judges, as `rows.completed` completes them. *reason* says in
    one sentence what a match means. The first technique is the main one. *confidence* is how
    likely a match is what the title says, and not something harmless that looks like it.
    *compliance* is what it is evidence for.

    *gate* `always`: it fires whatever was learnt, and what matches is not learnt. `baseline`: it
    fires where the baseline does not have the same behaviour; what matches may be what the
    workload is there for, and only what `taints` names is not learnt. The behaviour is the row's:
    the executable of an exec, path and access of a file and who opened it, a capability, an
    operation with its target, a peer.

    *asked_by* `watch`: what matches says something of a container, and nothing of what may be
    learnt from it; the learner does not ask.
    """

    id: str
    title: str
    reason: str
    table: str
    severity: Severity
    attack: tuple[Technique, ...]
    confidence: Confidence
    compliance: tuple[Tags, ...]
    gate: Gate = "always"
    asked_by: Literal["all", "watch"] = "all"


class Indicator(Protocol):
    """One rule. Both predicates give one truth a row, never null, in the order of the rows."""

    @property
    def metadata(self) -> IndicatorMetadata: ...

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        """Return which *rows* are what the indicator is about: its gate says what follows."""
        ...

    def taints(self, rows: pa.Table) -> pa.BooleanArray:
        """Return which matching *rows* make their process, and all that it started, suspect."""
        ...
