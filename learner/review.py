"""What people decide about baselines: rules left out, and overlays that allow or deny.

It works on baselines, after they were learnt, so that every choice names rules as they stand in
the file. Whatever is left out stands in the baseline as `withheld`, with its evidence and with who
or what said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ethogram.contracts.baseline import (
    DIMENSIONS,
    RULE_MODELS,
    AnyValue,
    Baseline,
    Choices,
    Dimension,
    Evidence,
    Overlay,
    OverlayInput,
    Phase,
    Quarantined,
    Rule,
    Subject,
    Withheld,
)
from ethogram.contracts.overlay_file import Entry, OverlayFile
from ethogram.contracts.overlays import in_force, withheld_rule
from ethogram.contracts.rule_names import RuleNames, is_id
from ethogram.errors import UsageError
from learner.order import order_of

__all__ = ["Review", "reviewed"]

_NEVER = Evidence(calls=0, windows=0, instances=0, recordings=0, phases=())
_Key = tuple[Dimension, AnyValue]


@dataclass(frozen=True, slots=True)
class Review:
    """What was decided: rules to leave out, and the overlays to apply.

    *without* are names of rules. Of *only_phases*, where there is any, a rule was seen in at least
    one; *min_replicas* instances showed it.
    """

    without: tuple[str, ...] = ()
    only_phases: tuple[Phase, ...] = ()
    min_replicas: int = 1
    overlays: tuple[OverlayFile, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.without or self.only_phases or self.min_replicas > 1 or self.overlays)


def reviewed(
    baselines: Iterable[Baseline], review: Review, *, today: date
) -> tuple[list[Baseline], list[str]]:
    """Return *baselines* with *review* applied as of *today*, and what of it did nothing.

    `UsageError` for a name that no rule has, for a choice that leaves a workload nothing, and for
    decisions that contradict one another. Equal arguments give equal baselines, in whatever order
    the decisions stand.
    """
    baselines = list(baselines)
    _refuse_unknown(review, baselines, today)
    notes = list(_notes(review, baselines, today))
    return [_reviewed(baseline, review, today) for baseline in baselines], notes


@dataclass(frozen=True)
class _State:
    """A baseline while it is decided about, by the ids of rules."""

    rules: dict[str, tuple[Dimension, Rule[Any]]]
    quarantined: dict[str, Quarantined]
    withheld: dict[str, Withheld]

    @classmethod
    def of(cls, baseline: Baseline) -> _State:
        return cls(
            {rule.id: (dimension, rule) for dimension, rule in baseline.rules.all()},
            {one.id: one for one in baseline.quarantined},
            {one.id: one for one in baseline.withheld or ()},
        )

    def withhold(self, identity: str, by: str, overlay: Overlay | None = None) -> None:
        dimension, rule = self.rules.pop(identity)
        self.withheld[identity] = withheld_rule(dimension, rule, by=by, overlay=overlay)

    def known(self) -> dict[str, _Key]:
        apart = (*self.quarantined.values(), *self.withheld.values())
        rules = {name: (dimension, rule.value) for name, (dimension, rule) in self.rules.items()}
        return rules | {one.id: (one.dimension, one.value) for one in apart}


def _reviewed(baseline: Baseline, review: Review, today: date) -> Baseline:
    state = _State.of(baseline)
    without = _leave_out(state, review, baseline)
    mine = _entries_for(baseline, review, today)
    _deny(state, [entry for _, entry in mine if entry.deny])
    _allow(state, [entry for _, entry in mine if entry.allow], baseline.subject)
    choices = _choices(baseline.choices, review, without, {file for file, _ in mine})
    rules = sorted(state.rules.values(), key=lambda pair: order_of(pair[0], pair[1].value))
    by_dimension: dict[str, Any] = {
        name: tuple(rule for dimension, rule in rules if dimension == name) for name in DIMENSIONS
    }
    after = baseline.model_copy(
        update={
            "rules": baseline.rules.model_copy(update=by_dimension),
            "quarantined": tuple(state.quarantined.values()),
            "withheld": _sorted(state.withheld.values()) or None,
            "choices": choices,
        }
    )
    return in_force(after, today)


def _sorted(items: Iterable[Withheld]) -> tuple[Withheld, ...]:
    return tuple(sorted(items, key=lambda one: (DIMENSIONS.index(one.dimension), one.id)))


# --- rules that are left out ------------------------------------------------------------------


def _leave_out(state: _State, review: Review, baseline: Baseline) -> tuple[str, ...]:
    """Withhold what the choices of *review* leave out; return the names that matched here."""
    matched = []
    for name in review.without:
        ids = _ids(state, name)
        for identity in ids & state.rules.keys():
            state.withhold(identity, "without")
        if ids:
            matched.append(name)
    before = len(state.rules)
    phases = set(review.only_phases)
    for identity, (_, rule) in list(state.rules.items()):
        if rule.overlay is None and phases and phases.isdisjoint(rule.evidence.phases):
            state.withhold(identity, "only-phase")
    _refuse_nothing_left(state, before, baseline, "--only-phase " + " ".join(review.only_phases))
    before = len(state.rules)
    for identity, (_, rule) in list(state.rules.items()):
        if rule.overlay is None and rule.evidence.instances < review.min_replicas:
            state.withhold(identity, "min-replicas")
    _refuse_nothing_left(state, before, baseline, f"--min-replicas {review.min_replicas}")
    return tuple(matched)


def _ids(state: _State, name: str) -> set[str]:
    return set(RuleNames(state.known()).find(name))


def _refuse_nothing_left(state: _State, before: int, baseline: Baseline, option: str) -> None:
    if state.rules or not before:
        return
    observation = baseline.observation
    raise UsageError(
        f"`{option}` leaves {_words(baseline.subject)} nothing: it was seen in"
        f" {len(observation.phases)} phases ({', '.join(observation.phases)})"
        f" and {observation.instances} replicas",
        hint="record more of it, or learn this workload apart",
    )


def _words(subject: Subject) -> str:
    parts = (subject.namespace, subject.kind, subject.name)
    return f"`{'/'.join(part for part in parts if part)}`"


# --- overlays ---------------------------------------------------------------------------------


def _entries_for(
    baseline: Baseline, review: Review, today: date
) -> list[tuple[OverlayFile, Entry]]:
    digests = baseline.observation.image_digests
    return [
        (file, entry)
        for file in review.overlays
        for entry in file.entries
        if entry.expires >= today and entry.match.applies_to(baseline.subject, digests)
    ]


def _target_ids(state: _State, entry: Entry) -> set[str]:
    identity = entry.target.id
    return {identity} if identity else _ids(state, str(entry.target.rule))


def _deny(state: _State, entries: Sequence[Entry]) -> None:
    for entry in sorted(entries, key=_lasting):
        for identity in _target_ids(state, entry):
            if identity in state.rules:
                state.withhold(identity, "overlay", entry.overlay)
            elif identity in state.withheld:
                update = {"by": "overlay", "overlay": entry.overlay}
                state.withheld[identity] = state.withheld[identity].model_copy(update=update)


def _lasting(entry: Entry) -> tuple[str, str, str]:
    """Return what sorts decisions about one rule: the last one stands, and it lasts longest."""
    return entry.expires.isoformat(), entry.author, entry.reason


def _allow(state: _State, entries: Sequence[Entry], subject: Subject) -> None:
    for entry in sorted(entries, key=_lasting):
        for identity in sorted(_target_ids(state, entry)):
            held = state.withheld.get(identity)
            if held is not None and held.by in ("without", "overlay"):
                raise UsageError(
                    f"an overlay of {entry.author} allows `{identity}` of {_words(subject)}, which"
                    f" {'`--without`' if held.by == 'without' else 'another one'} leaves out",
                    hint="decide for one of them",
                )
            _allow_one(state, identity, entry)


def _allow_one(state: _State, identity: str, entry: Entry) -> None:
    if identity in state.rules:
        own, rule = state.rules[identity]
        if rule.overlay is not None:  # of another entry, which does not last as long
            rule = rule.model_copy(update={"overlay": entry.overlay})
            state.rules[identity] = own, rule
        return
    apart = state.withheld.pop(identity, None) or state.quarantined.pop(identity, None)
    known: dict[str, Any] = {"id": identity, "overlay": entry.overlay, "evidence": _NEVER}
    if apart is not None:
        known |= {"evidence": apart.evidence, "indicators": apart.indicators or None}
    if isinstance(apart, Quarantined):
        known["marked"] = apart.reasons
    elif isinstance(apart, Withheld):
        known |= {"widened_from": apart.widened_from, "marked": apart.marked}
    dimension = apart.dimension if apart else entry.target.dimension
    assert dimension is not None
    known["value"] = apart.value if apart else entry.target.value
    state.rules[identity] = dimension, RULE_MODELS[dimension](**known)


# --- what was chosen, and what is wrong with it -----------------------------------------------


def _choices(
    before: Choices | None, review: Review, without: Iterable[str], files: Iterable[OverlayFile]
) -> Choices | None:
    """Return what was chosen in all, also when the baseline was learnt."""
    before = before or Choices()
    known = {one.sha256: one for one in before.overlays or ()}
    known.update({file.sha256: OverlayInput(name=file.name, sha256=file.sha256) for file in files})
    least = max(before.min_replicas or 1, review.min_replicas)
    choices = Choices(
        without=tuple(sorted({*(before.without or ()), *without})) or None,
        only_phases=review.only_phases or before.only_phases,
        min_replicas=least if least > 1 else None,
        overlays=tuple(known[digest] for digest in sorted(known)) or None,
    )
    return choices if choices != Choices() else None


def _refuse_unknown(review: Review, baselines: Sequence[Baseline], today: date) -> None:
    """Raise `UsageError` for a name of a rule that is nowhere, or that is no one rule's.

    An entry that is over decides nothing: what it named may be gone.
    """
    states = [_State.of(baseline) for baseline in baselines]
    names = [(f"`--without {name}`", name, states) for name in review.without]
    for file in review.overlays:
        for entry in file.entries:
            if entry.target.rule is None or entry.expires < today:
                continue
            mine = [
                state
                for baseline, state in zip(baselines, states, strict=True)
                if entry.match.applies_to(baseline.subject, baseline.observation.image_digests)
            ]
            if mine:
                names.append((f"overlay `{file.name}`: {entry}", entry.target.rule, mine))
    for who, name, mine in names:
        _refuse_name(who, name, mine)


def _refuse_name(who: str, name: str, states: Sequence[_State]) -> None:
    found: set[str] = set()
    for state in states:
        found |= _ids(state, name)
    if not found:
        known = {one: key for state in states for one, key in state.known().items()}
        guess = RuleNames(known).closest(name)
        raise UsageError(
            f"{who}: no rule has this name",
            hint=f"did you mean `{guess}`?"
            if guess
            else "`ethogram show BASELINE --format json` has every rule",
        )
    if is_id(name) and len(found) > 1:
        raise UsageError(
            f"{who}: {len(found)} rules begin like this: {', '.join(sorted(found)[:4])} ...",
            hint="write more of the id",
        )


def _notes(review: Review, baselines: Sequence[Baseline], today: date) -> Iterator[str]:
    for file in review.overlays:
        for number, entry in enumerate(file.entries, 1):
            where = f"overlay `{file.name}`: entry {number}, {entry}"
            if entry.expires < today:
                yield f"{where}: expired on {entry.expires.isoformat()}, not applied"
            elif not any(
                entry.match.applies_to(one.subject, one.observation.image_digests)
                for one in baselines
            ):
                yield f"{where}: is for no workload here"
