"""The changes between baselines in the order in which a reviewer should read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from detector.grading import Grade, grade
from ethogram.cli.screen import count
from ethogram.contracts.baseline import DIMENSIONS, Evidence, WithheldBy
from ethogram.contracts.finding import SEVERITIES, Severity
from ethogram.contracts.wording import in_words

if TYPE_CHECKING:
    from learner.difference import Change, Difference, Way

__all__ = ["Ranked", "evidence_words", "ranked", "verdict"]

_WAYS: tuple[Way, ...] = ("wider", "apart", "narrower")
_NAMED = 3
# What somebody decided about this one value, and not about all that were seen like it.
_DECIDED = ("without", "overlay")
_LEFT_OUT: Mapping[WithheldBy, str] = MappingProxyType(
    {
        "without": "`--without` left it out before",
        "only-phase": "`--only-phase` left it out before",
        "min-replicas": "`--min-replicas` left it out before",
        "overlay": "an overlay denied it before",
        "expired": "an overlay had allowed it, and was over",
    }
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A change, and how grave it would be where nothing had allowed it."""

    change: Change
    severity: Severity
    grade: Grade

    @property
    def title(self) -> str:
        """Return the change in a few words."""
        return in_words(self.change.value)

    @property
    def why(self) -> str:
        """Return why it is where it is in the order."""
        if self.change.way == "narrower":
            return (
                "quarantined now: " + ", ".join(self.change.indicators)
                if self.change.is_apart
                else "not allowed any more"
            )
        reason = self.grade.reason
        if self.change.indicators:
            fired = ", ".join(self.change.indicators)
            reason += f"; seen while it fired: {fired}"
        if self.change.was_apart:
            reason += "; it was in quarantine before"
        if self.change.left_out:
            reason += f"; {_LEFT_OUT[self.change.left_out]}"
        if overlay := self.change.overlay:
            until = f", until {overlay.expires}" if overlay.expires else ""
            reason += f"; allowed by {overlay.author}{until}: {overlay.reason}"
        return reason


def ranked(difference: Difference) -> list[Ranked]:
    """Return the changes of *difference*: what is allowed now first, the gravest of it on top."""
    found = [_ranked(change) for change in difference.changes]
    return sorted(
        found,
        key=lambda one: (
            _WAYS.index(one.change.way),
            -SEVERITIES.index(one.severity),
            DIMENSIONS.index(one.change.dimension),
            one.title,
        ),
    )


def _ranked(change: Change) -> Ranked:
    found = grade(change.value)
    if change.way == "narrower":
        return Ranked(change, "info", replace(found, severity="info"))
    severity = found.severity
    if change.indicators or change.was_apart or change.left_out in _DECIDED:
        severity = max(severity, "high", key=SEVERITIES.index)
    return Ranked(change, severity, found)


def evidence_words(evidence: Evidence) -> str:
    """Return who did it, and how often: `23 calls, 2 instances, steady, by /usr/sbin/nginx`."""
    parts = [
        count(evidence.calls, "call"),
        count(evidence.instances, "instance"),
        *(["+".join(evidence.phases)] if evidence.phases else []),
    ]
    if evidence.executables:
        named = ", ".join(evidence.executables[:_NAMED])
        more = len(evidence.executables) - _NAMED
        parts.append(f"by {named}" + (f" and {more} more" if more > 0 else ""))
    return ", ".join(parts)


def verdict(found: Sequence[Difference]) -> str:
    """Return in one word what NEW is to OLD."""
    ways = frozenset().union(*(difference.ways for difference in found))
    if {"wider", "narrower"} <= ways:
        return "wider and narrower"
    return next((way for way in ("wider", "narrower") if way in ways), "same")
