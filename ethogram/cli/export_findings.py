"""What exporters found, for people: each thing once, with whom it is about, the worst last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ethogram.cli.screen import say
from ethogram.contracts.escape import printable

if TYPE_CHECKING:
    from exporters.protocol import Finding, Severity

__all__ = ["Found", "say_findings"]

# What stops an export stands next to the line that says so.
_RANK: Mapping[Severity, int] = {"info": 0, "warning": 1, "loss": 2}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Found:
    """One finding of exporter *target* about *workload*, as a screen calls it."""

    target: str
    workload: str
    finding: Finding


def say_findings(found: Iterable[Found], *, baselines: int, with_policy: Mapping[str, int]) -> None:
    """Print *found* about that many *baselines*; those that say the same are one.

    *with_policy* is of how many of them each target made a policy.
    """
    groups: dict[tuple[str, Severity, str, str | None], list[Found]] = {}
    for each in found:
        what = each.finding
        key = (each.target, what.severity, what.message, what.hint)
        groups.setdefault(key, []).append(each)
    for (target, severity, message, hint), members in sorted(
        groups.items(), key=lambda item: _RANK[item[0][1]]
    ):
        about, lines = _about(members, baselines, with_policy.get(target, 0))
        say(f"{severity}: {target}: {printable(message)}{about}")
        for line in lines[:_SHOWN]:
            say(f"  - {line}")
        if more := len(lines) - _SHOWN if len(lines) > _SHOWN else 0:
            say(f"  - and {more} more")
        if hint:
            say(f"  hint: {printable(hint)}")


def _about(members: Iterable[Found], baselines: int, with_policy: int) -> tuple[str, list[str]]:
    """Return what follows the message, and the lines below it where they are several."""
    subjects: dict[str, list[str]] = {}
    for each in members:
        own = subjects.setdefault(each.workload, [])
        if each.finding.subject:
            own.append(printable(each.finding.subject))
    if len(subjects) == 1:
        [(workload, own)] = subjects.items()
        about = f" ({', '.join(own)})" if own else ""
        return about + (f" ({workload})" if baselines > 1 else ""), []
    lines = [
        f"{workload}: {', '.join(own)}" if own else workload for workload, own in subjects.items()
    ]
    lines = lines if len(subjects) not in (baselines, with_policy) or any(subjects.values()) else []
    if len(subjects) == baselines:
        return f" (all {baselines} baselines)", lines
    if len(subjects) == with_policy:
        return f" (all {with_policy} policies)", lines
    return f" ({len(subjects)} of {baselines} baselines)", lines
