"""What a baseline must not allow of what was seen, and what it allows with a mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pandas as pd

from ethogram.contracts.baseline import (
    DIMENSIONS,
    AnyValue,
    Dimension,
    FileValue,
    PeerValue,
    Quarantined,
    rule_id,
)
from ethogram.contracts.matching import pattern_to_regex
from learner.dimensions import split_quarantine_key
from learner.evidence import Item, gather
from learner.flood import floods_of, is_flood
from learner.judging import FOREIGN_ANSWER
from learner.order import order_of
from learner.watch import watches
from learner.witness import ONE_INSTANCE, judged

__all__ = ["Sorted", "sort_out"]

_Key: TypeAlias = "tuple[Dimension, AnyValue]"


@dataclass(frozen=True, slots=True)
class Sorted:
    """*seen*: all that no indicator condemned; *allowed*: what of it becomes rules."""

    seen: list[Item]
    allowed: list[Item]
    quarantined: tuple[Quarantined, ...]


def sort_out(rows: pd.DataFrame, seen: pd.DataFrame) -> Sorted:
    """Sort out *seen*, the rows of behaviour among the *rows* of one workload."""
    watched = watches(rows)
    is_junk = is_flood(seen, watched)
    notes = _apart(rows, "mark")
    items = sorted(gather(seen[~is_junk]), key=_order_of)
    foreign, is_trusting = _foreign(items, notes)
    verdicts = list(judged(_noted(items, notes, foreign), watched))
    foreign = foreign if is_trusting else set()
    allowed = [
        item
        for item, is_quarantined in verdicts
        if not is_quarantined and (item.dimension, item.value) not in foreign
    ]
    known = {(item.dimension, item.value) for item in allowed}
    held = [
        *(_held(item) for item in gather(_apart(rows, "quarantine"))),
        *(_held(item, ONE_INSTANCE) for item, is_quarantined in verdicts if is_quarantined),
        *(_held(item, FOREIGN_ANSWER) for item in items if (item.dimension, item.value) in foreign),
        *(_held(item, "flood", count) for item, count in floods_of(seen[is_junk])),
    ]
    names = _Names(allowed)
    held = [
        one for one in held if (one.dimension, one.value) not in known and one.value not in names
    ]
    return Sorted(
        seen=[item for item, _ in verdicts],
        allowed=allowed,
        quarantined=tuple(_one_each(sorted(held, key=_order_of))),
    )


class _Names:
    """Exact paths that patterns of *allowed* stand for.

    A name that a program draws is another one each time. That one of them was drawn while an
    indicator fired says no more about it than that a known file was opened then.
    """

    def __init__(self, allowed: Iterable[Item]) -> None:
        access: dict[str, set[str]] = {}
        for item in allowed:
            if isinstance(item.value, FileValue) and "*" in item.value.path:
                access.setdefault(item.value.path, set()).update(item.value.access)
        self._patterns = [(pattern_to_regex(path), letters) for path, letters in access.items()]

    def __contains__(self, value: AnyValue) -> bool:
        return (
            isinstance(value, FileValue)
            and "*" not in value.path
            and any(
                letters.issuperset(value.access) and pattern.fullmatch(value.path)
                for pattern, letters in self._patterns
            )
        )


def _held(item: Item, reason: str | None = None, count: int | None = None) -> Quarantined:
    return Quarantined(
        id=rule_id(item.dimension, item.value),
        dimension=item.dimension,
        value=item.value,
        indicators=item.indicators,
        evidence=item.evidence,
        reasons=(reason,) if reason else None,
        count=count,
    )


def _one_each(held: Iterable[Quarantined]) -> Iterator[Quarantined]:
    """Yield *held*, sorted, with those that are about one value as one."""
    last: Quarantined | None = None
    for one in held:
        if last is None or one.id != last.id:
            if last is not None:
                yield last
            last = one
            continue
        last = last.model_copy(
            update={
                "indicators": tuple(sorted({*last.indicators, *one.indicators})),
                "reasons": tuple(sorted({*(last.reasons or ()), *(one.reasons or ())})) or None,
                "count": last.count or one.count,
            }
        )
    if last is not None:
        yield last


def _order_of(one: Item | Quarantined) -> tuple[Any, ...]:
    return order_of(one.dimension, one.value)


def _noted(items: Iterable[Item], notes: pd.DataFrame, foreign: set[_Key]) -> Iterator[Item]:
    """Yield *items* with the ids of what was noted of them as marks; *foreign* are such."""
    noted = {(note.dimension, note.value): note.indicators for note in gather(notes)}
    for item in items:
        key = (item.dimension, item.value)
        is_foreign = key in foreign
        marks = tuple(name for name in noted.get(key, ()) if is_foreign or name != FOREIGN_ANSWER)
        yield replace(item, marks=marks) if marks else item


def _foreign(items: Iterable[Item], notes: pd.DataFrame) -> tuple[set[_Key], bool]:
    """Return the names and peers that rest on foreign answers alone, and whether others do not.

    Who asks only resolvers that he is not configured for means it, or nobody could read what he is
    configured for.
    """
    is_foreign = [FOREIGN_ANSWER in names.split() for names in notes.indicators]
    calls = {
        (note.dimension, note.value): note.evidence.calls for note in gather(notes[is_foreign])
    }
    found: set[_Key] = set()
    is_trusting = False
    for item in items:
        is_same = calls.get((item.dimension, item.value)) == item.evidence.calls
        is_trusting |= item.dimension == "dns" and not is_same
        is_peer = isinstance(item.value, PeerValue) and item.value.direction == "out"
        if is_same and (is_peer or item.dimension == "dns"):
            found.add((item.dimension, item.value))
    return found, is_trusting


def _apart(rows: pd.DataFrame, word: str) -> pd.DataFrame:
    """Return the rows of dimension *word* as what they were, with the indicators' names."""
    rows = rows[rows.dimension == word]
    parts = [split_quarantine_key(key) for key in rows.key]
    kept = [index for index, (dimension, *_) in enumerate(parts) if dimension in DIMENSIONS]
    return (
        rows.iloc[kept]
        .assign(
            dimension=[parts[index][0] for index in kept],
            key=[parts[index][1] for index in kept],
            indicators=[" ".join(parts[index][2]) for index in kept],
        )
        .reset_index(drop=True)
    )
