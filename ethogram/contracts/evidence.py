"""Rules and quarantined values that became one: what their evidence says together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from ethogram.contracts.baseline_models import (
    Evidence,
    Overlay,
    Quarantined,
    Rule,
    WidenedFrom,
    Withheld,
)
from ethogram.contracts.baseline_values import PHASES

__all__ = ["merge_evidence", "merge_quarantined", "merge_rules", "merge_withheld"]

# How many a baseline lists of what may be many: the first by name.
_EXECUTABLES = 20
_EXAMPLES = 8

ItemT = TypeVar("ItemT", Rule[Any], Quarantined, Withheld)


def merge_evidence(parts: Sequence[Evidence]) -> Evidence:
    """Return the evidence for one value that was several; *parts* is not empty, in any order.

    Calls add up. One window, instance or recording may have shown several of them, so of those
    the most of one part counts: never too many.
    """
    phases = {phase for part in parts for phase in part.phases}
    executables = {path for part in parts for path in part.executables}
    examples = [part.example_exec_id for part in parts if part.example_exec_id is not None]
    return Evidence(
        calls=sum(part.calls for part in parts),
        windows=max(part.windows for part in parts),
        instances=max(part.instances for part in parts),
        recordings=max(part.recordings for part in parts),
        phases=tuple(phase for phase in PHASES if phase in phases),
        first_seen=min(filter(None, (p.first_seen for p in parts)), key=_instant, default=None),
        last_seen=max(filter(None, (p.last_seen for p in parts)), key=_instant, default=None),
        executables=tuple(sorted(executables)[:_EXECUTABLES]),
        example_exec_id=min(examples, default=None),
    )


def merge_rules(rules: Iterable[Rule[Any]]) -> tuple[Rule[Any], ...]:
    """Return *rules* with those of one id as one, where the first of them stood."""
    return tuple(
        group[0]
        if len(group) == 1
        else group[0].model_copy(
            update={
                "evidence": merge_evidence([rule.evidence for rule in group]),
                "widened_from": _widened_from([rule.widened_from for rule in group]),
                "overlay": _overlay([rule.overlay for rule in group]),
            }
        )
        for group in _by_id(rules)
    )


def merge_quarantined(items: Iterable[Quarantined]) -> tuple[Quarantined, ...]:
    """Return *items* with those of one id as one, where the first of them stood."""
    return tuple(
        group[0]
        if len(group) == 1
        else group[0].model_copy(
            update={
                "indicators": tuple(sorted({name for item in group for name in item.indicators})),
                "evidence": merge_evidence([item.evidence for item in group]),
            }
        )
        for group in _by_id(items)
    )


def merge_withheld(items: Iterable[Withheld]) -> tuple[Withheld, ...]:
    """Return *items* with those of one id as one, where the first of them stood."""
    return tuple(
        group[0]
        if len(group) == 1
        else group[0].model_copy(
            update={"evidence": merge_evidence([item.evidence for item in group])}
        )
        for group in _by_id(items)
    )


def _by_id(items: Iterable[ItemT]) -> Iterable[list[ItemT]]:
    groups: dict[str, list[ItemT]] = {}
    for item in items:
        groups.setdefault(item.id, []).append(item)
    return groups.values()


def _instant(time: str) -> str:
    # `...:00.5Z` is later than `...:00Z`, and `.` comes before `Z`.
    return time.removesuffix("Z")


def _widened_from(parts: Sequence[WidenedFrom | None]) -> WidenedFrom | None:
    """Return what all *parts* stand for; no value was widened to two of them."""
    widened = [part for part in parts if part is not None]
    if not widened:
        return None
    examples = {example for part in widened for example in part.examples}
    return WidenedFrom(
        count=sum(part.count for part in widened), examples=tuple(sorted(examples)[:_EXAMPLES])
    )


def _overlay(parts: Sequence[Overlay | None]) -> Overlay | None:
    """Return the decision that lasts longest; a rule that needed none stands without one."""
    overlays = [part for part in parts if part is not None]
    if len(overlays) < len(parts):
        return None
    return max(
        overlays, key=lambda one: (one.expires is None, one.expires or "", one.author, one.reason)
    )
