"""How the sensor stands, for the status of a watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SensorStatus"]


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """*troubles* counts what was done by rule, *changed* are programs that are not as they were.

    The gap is the time before this watch in which none ran; None where no state is kept, or nobody
    watched before. *heard* is when the kernel last reported what the watch does for the purpose.
    """

    troubles: Mapping[str, int]
    changed: Mapping[str, str]
    gap_from: str | None = None
    gap_to: str | None = None
    gap_seconds: float | None = None
    gap_cause: str | None = None
    heard: str | None = None
