"""What one baseline allows and another does not: by meaning, not by lines of a file.

A rule is new only where the old baseline would not have allowed what it allows: a file below a
pattern that was there before is nothing new, an executable that lost its place in the file is
nothing either. Evidence, order and ids do not count.

What the container runtime alone did, before the workload ran, is not the workload's: it lies under
names of that one container, and no detector or policy asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ethogram.contracts.baseline import (
    DIMENSIONS,
    AnyValue,
    Baseline,
    Dimension,
    Evidence,
    FileValue,
    Match,
    Overlay,
    WithheldBy,
)
from ethogram.contracts.matching import Allowlist
from learner.argument_notes import argument_notes

__all__ = ["Change", "Difference", "Named", "Way", "differences"]

Way: TypeAlias = Literal["wider", "narrower", "apart"]
Named: TypeAlias = "tuple[Path, Baseline]"
# A character that no path in a baseline has: what matches it there is a wildcard.
_ANY = "\ue000"
# So much shorter, and what is gone may only not have been seen.
_SHORTER = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One value that one of two baselines allows and the other does not.

    *way* is `wider` where the new one allows it, `narrower` where the old one did, and `apart`
    where neither does: it is newly quarantined. *rule* is the id of the rule that has it, *value*
    a file with the letters alone that changed. *indicators* fired while it was seen; *was_apart*,
    the old baseline had it in quarantine; *is_apart*, the new one has. *left_out* is by what people
    left it out of the old one.
    """

    way: Way
    dimension: Dimension
    value: AnyValue
    rule: str
    evidence: Evidence
    overlay: Overlay | None = None
    indicators: tuple[str, ...] = ()
    was_apart: bool = False
    is_apart: bool = False
    left_out: WithheldBy | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Two baselines of one workload, or one of them, and what changed between them.

    *match* says how what it applies to changed, *notes* what to know before relying on the rest.
    """

    old: Named | None
    new: Named | None
    changes: tuple[Change, ...]
    match: tuple[tuple[Way, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ways(self) -> frozenset[Way]:
        """Return in which ways the new baseline differs."""
        return frozenset(
            [*(change.way for change in self.changes), *(way for way, _ in self.match)]
        )

    @property
    def baseline(self) -> Baseline:
        """Return the new baseline, or the old one where there is no new one."""
        named = self.new or self.old
        assert named is not None
        return named[1]


def differences(old: Sequence[Named], new: Sequence[Named]) -> list[Difference]:
    """Return what changed for each workload that either side has, in the order of their names."""
    pairs = sorted(_paired(old, new), key=lambda pair: _name(pair[1] or pair[0]))
    return [_difference(before, after) for before, after in pairs]


def _name(named: Named | None) -> tuple[str, ...]:
    assert named is not None
    subject = named[1].subject
    return (subject.namespace or "", subject.kind, subject.name, subject.container or "")


def _paired(
    old: Sequence[Named], new: Sequence[Named]
) -> Iterator[tuple[Named | None, Named | None]]:
    """Yield the baselines of one workload: of one namespace, or the only ones of their name."""
    before, after = list(old), list(new)
    for part in (slice(None), slice(1, None)):
        for one in tuple(before):
            key = _name(one)[part]
            here = [other for other in before if _name(other)[part] == key]
            there = [other for other in after if _name(other)[part] == key]
            if len(here) == len(there) == 1:
                before.remove(one)
                after.remove(there[0])
                yield one, there[0]
    yield from ((one, None) for one in before)
    yield from ((None, one) for one in after)


def _difference(old: Named | None, new: Named | None) -> Difference:
    if old is None or new is None:
        named = old or new
        assert named is not None
        way: Way = "wider" if new else "narrower"
        alone = tuple(
            Change(way, dimension, rule.value, rule.id, rule.evidence, rule.overlay,
                   rule.indicators or ())
            for dimension, rule in named[1].rules.of_workload().all()
        )  # fmt: skip
        return Difference(old, new, alone + (tuple(_quarantined(None, new[1])) if new else ()))
    before, after = old[1], new[1]
    changes = (
        *_changes("wider", before, after),
        *_changes("narrower", after, before),
        *_quarantined(before, after),
    )
    return Difference(
        old, new, changes, tuple(_match(before.match, after.match)), tuple(_notes(before, after))
    )


def _changes(way: Way, without: Baseline, having: Baseline) -> Iterator[Change]:
    """Yield what *having* allows and *without* does not."""
    allowlist = Allowlist(_own(without))
    unseen = without.observation.not_observed or ()
    apart = {(one.dimension, one.id): one for one in without.quarantined}
    left_out = {(one.dimension, one.id): one.by for one in without.withheld or ()}
    for dimension, rule in having.rules.of_workload().all():
        value = _beyond(allowlist, dimension, rule.value)
        if value is None or dimension in unseen:
            continue
        held = apart.get((dimension, rule.id))
        yield Change(
            way,
            dimension,
            value,
            rule.id,
            rule.evidence,
            rule.overlay,
            rule.indicators or (held.indicators if held else ()),
            was_apart=held is not None and way == "wider",
            is_apart=held is not None and way == "narrower",
            left_out=left_out.get((dimension, rule.id)) if way == "wider" else None,
        )


def _own(baseline: Baseline) -> Baseline:
    return baseline.model_copy(update={"rules": baseline.rules.of_workload()})


def _beyond(allowlist: Allowlist, dimension: Dimension, value: AnyValue) -> AnyValue | None:
    """Return what of *value* is not in *allowlist*: all, some letters of a file's, or None."""
    if not isinstance(value, FileValue):
        return None if allowlist.allows(dimension, value) else value
    # What stands for any name is covered by what stands for at least as many.
    path = value.path.replace("*", _ANY)
    if not allowlist.allows(dimension, FileValue(path=path, access="")):
        return value
    letters = "".join(
        letter
        for letter in value.access
        if not allowlist.allows(dimension, FileValue(path=path, access=letter))
    )
    return value.model_copy(update={"access": letters}) if letters else None


def _quarantined(old: Baseline | None, new: Baseline) -> Iterator[Change]:
    """Yield what *new* has in quarantine and *old* neither had there nor allowed."""
    known = {one.id for one in old.quarantined} if old else set()
    allowlist = Allowlist(_own(old)) if old else None
    for one in new.quarantined:
        if one.id in known or (allowlist and allowlist.allows(one.dimension, one.value)):
            continue
        yield Change("apart", one.dimension, one.value, one.id, one.evidence, None,
                     one.indicators or one.reasons or (), is_apart=True)  # fmt: skip


def _match(old: Match, new: Match) -> Iterator[tuple[Way, str]]:
    """Yield how what the baseline applies to changed."""
    for field in ("container", "namespace", "image_digest"):
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        if after is None:
            yield "wider", f"applies to any `{field}`; before: {_words(before)}"
        elif before is None:
            yield "narrower", f"applies to `{field}` {_words(after)} alone; before: any"
        else:
            yield "wider", f"applies to `{field}` {_words(after)}; before: {_words(before)}"


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def _notes(old: Baseline, new: Baseline) -> Iterator[str]:
    """Yield what to know before relying on a difference: other images, and unequal watching."""
    before, after = old.observation, new.observation
    added = sorted(set(after.image_digests) - set(before.image_digests))
    if added and before.image_digests:
        yield f"new image: {', '.join(added)}"
    if gone := sorted(set(before.image_digests) - set(after.image_digests)):
        yield f"image not seen again: {', '.join(gone)}"
    if after.seconds < before.seconds * _SHORTER:
        yield (
            f"the new one was watched for {after.seconds:,.0f} s, the old one for "
            f"{before.seconds:,.0f} s: what is gone may only not have been seen"
        )
    if before.state != after.state:
        yield f"observed {before.state} before, {after.state} now"
    for dimension in DIMENSIONS:
        blind = [
            word
            for word, one in (("old", before), ("new", after))
            if dimension in (one.not_observed or ())
        ]
        if blind:
            yield f"{dimension} cannot be compared: not looked at by the {' and '.join(blind)} one"
    yield from argument_notes(old, new)
    if new.settled is not None and old.settled is not None and new.settled < old.settled:
        yield f"less settled: {new.settled:.1%}, before {old.settled:.1%}"
