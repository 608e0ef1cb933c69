"""What a window showed that is not as it should be, before it is told as a finding."""

from __future__ import annotations

from dataclasses import dataclass

from detector.library import Known
from detector.rows import Rows
from ethogram.contracts.baseline import AnyValue, Dimension
from ethogram.contracts.finding import Confidence, Layer, Severity
from ethogram.indicators.compliance import Tags
from ethogram.indicators.protocol import Technique

__all__ = ["Sighting"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that was seen *count* times in a window; times in nanoseconds UTC.

    *exec_id* or else *exe* says who did it; both are None where only the instance is known. *known*
    and *value*: of the baseline, what is nearest to the value is worth showing. Two sightings with
    one *identity* are the same although *observed* differs. *values* are all that it stands for,
    where they are more than *value*, *groups* the same of several dimensions. How late it is told
    says nothing where it is not *is_timed*. *parts* are what was seen, and by whom, of each that it
    stands for. *p_value* and *expected* are those of its evidence,
    where no value of a baseline is the nearest. *rows* are those that showed it, where it is told
    later than they came.
    """

    layer: Layer
    rule: str
    title: str
    reason: str
    severity: Severity
    attack: tuple[Technique, ...]
    instance: int
    phase: str
    dimension: str
    observed: str
    exe: bytes | None
    exec_id: str | None
    first_ns: int
    last_ns: int
    count: int
    known: Known | None = None
    value: AnyValue | None = None
    values: tuple[AnyValue, ...] = ()
    identity: str | None = None
    parts: tuple[tuple[str, bytes | None], ...] = ()
    confidence: Confidence | None = None
    compliance: tuple[Tags, ...] = ()
    is_timed: bool = True
    p_value: float | None = None
    expected: tuple[str, ...] = ()
    groups: tuple[tuple[Dimension, tuple[AnyValue, ...]], ...] = ()
    rows: Rows | None = None
