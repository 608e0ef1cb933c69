"""Findings that are not told, because somebody said so: counted, and only until the last day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias

from detector.words import in_words
from ethogram.contracts.finding import Finding
from ethogram.contracts.suppression_file import SENSOR_RULES, Suppression, fits

__all__ = ["Answer", "SuppressionStatus", "Suppressions", "SuppressionsStatus"]

_REMEMBERED = 100_000
# What says not to tell; `None`: nothing does; `False`: it was not asked yet.
Answer: TypeAlias = Suppression | Literal[False] | None


@dataclass(frozen=True, slots=True)
class SuppressionStatus:
    """One suppression: how many findings it hid so far; *is_over*: its last day is past."""

    suppression: str
    owner: str
    reason: str
    expires: str
    is_over: bool
    findings: int


@dataclass(frozen=True, slots=True)
class SuppressionsStatus:
    """The file, what it came to, and why what is there now was refused, where it was."""

    file: str
    suppressed: int
    suppressions: tuple[SuppressionStatus, ...]
    trouble: str | None = None


class Suppressions:
    """Says which findings not to tell. What it knows is replaced as a whole.

    A finding counts once, however often it is seen. Whatever says that somebody tampers with the
    sensor is told in any case.
    """

    def __init__(self, path: Path | None = None, known: Sequence[Suppression] = ()) -> None:
        self._path = path
        self._known = tuple(known)
        self._today = date.min
        self._in_force = self._known
        self._answers: dict[tuple[str, str, str], Suppression | None] = {}
        self._counted: set[str] = set()
        self._hidden: Counter[Suppression] = Counter()
        self._said: set[Suppression] = set()
        self._trouble: str | None = None
        self.suppressed = 0

    def replace(self, known: Sequence[Suppression]) -> None:
        """Take what stands in the file now."""
        self._known, self._trouble = tuple(known), None
        self._begin()

    def refuse(self, trouble: str | None) -> None:
        """Keep what was taken last: what is there now is no file of suppressions."""
        self._trouble = trouble

    def take_day(self, today: date) -> None:
        """Go by what is in force on *today*."""
        if today != self._today:
            self._today = today
            self._begin()

    def _begin(self) -> None:
        self._in_force = tuple(one for one in self._known if one.expires >= self._today)
        self._answers.clear()

    def newly_over(self) -> tuple[Suppression, ...]:
        """Return those whose last day is past, each once."""
        over = [one for one in self._known if one.expires < self._today and one not in self._said]
        self._said.update(over)
        return tuple(over)

    @property
    def known(self) -> tuple[Suppression, ...]:
        """What stands in the file, also what is over."""
        return self._known

    @property
    def is_any(self) -> bool:
        """Whether anything is suppressed at all."""
        return bool(self._in_force)

    def answer(self, fingerprint: str, phase: str, state: str) -> Answer:
        """Return what was decided of such a finding before; `False` where it was not asked."""
        return self._answers.get((fingerprint, phase, state), False)

    def about(self, finding: Finding) -> Suppression | None:
        """Return what says not to tell *finding*, None where nothing does, and count it."""
        found = None
        if not finding.rule.startswith(SENSOR_RULES):
            found = next((one for one in self._in_force if _is_about(one, finding)), None)
        if len(self._answers) >= _REMEMBERED:
            self._answers.clear()
        self._answers[finding.fingerprint, finding.phase, finding.workload_state] = found
        return found

    def count(self, fingerprint: str, suppression: Suppression) -> bool:
        """Count what was not told; return whether it is the first time."""
        if fingerprint in self._counted:
            return False
        if len(self._counted) >= _REMEMBERED:
            self._counted.clear()
        self._counted.add(fingerprint)
        self._hidden[suppression] += 1
        self.suppressed += 1
        return True

    def status(self) -> SuppressionsStatus | None:
        """Return how they stand, None where there is no file of them."""
        if self._path is None:
            return None
        return SuppressionsStatus(
            file=str(self._path),
            suppressed=self.suppressed,
            suppressions=tuple(self._status(one) for one in self._known),
            trouble=self._trouble,
        )

    def _status(self, one: Suppression) -> SuppressionStatus:
        return SuppressionStatus(
            suppression=str(one),
            owner=one.owner,
            reason=one.reason,
            expires=one.expires.isoformat(),
            is_over=one.expires < self._today,
            findings=self._hidden[one],
        )


def _is_about(one: Suppression, finding: Finding) -> bool:
    return (
        (one.match is None or one.match.applies_to(finding.workload))
        and fits(one.rule, finding.rule)
        and one.dimension in (None, finding.evidence.dimension)
        and one.state in (None, finding.workload_state)
        and one.phase in (None, finding.phase)
        and fits(one.exe, finding.process.exe if finding.process else None)
        and _has_value(one.value, finding)
    )


def _has_value(pattern: str | None, finding: Finding) -> bool:
    """Return whether all that the finding stands for is what *pattern* stands for."""
    evidence = finding.evidence
    if pattern is None or fits(pattern, evidence.observed):
        return True
    values = evidence.values or ()
    return bool(values) and not evidence.more and all(fits(pattern, in_words(v)) for v in values)
