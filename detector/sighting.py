"""What a window showed that is not as it should be, before it is told as a finding."""

from __future__ import annotations

from dataclasses import dataclass

from ethogram.contracts.finding import Layer, Severity
from ethogram.indicators.protocol import Technique

__all__ = ["Sighting"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that was seen *count* times in a window; times in nanoseconds UTC.

    *exec_id* or else *exe* says who did it; both are None where only the instance is known.
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
    expected: tuple[str, ...]
    exe: bytes | None
    exec_id: str | None
    first_ns: int
    last_ns: int
    count: int
