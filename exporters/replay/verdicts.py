"""What policies do to recordings, brought together: one line for each thing that is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ethogram.contracts.keys import WorkloadKey
from exporters.replay.observations import Observations, Sight
from exporters.replay.processes import Example, examples
from exporters.replay.protocol import (
    Denied,
    Effect,
    Judged,
    Outcome,
    Picked,
    Policy,
    Relaxation,
    Replayer,
    Unjudged,
)

__all__ = ["Open", "Refusal", "Report", "replayed"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What would be refused of one workload, over all recordings; *example* is the first.

    *recording* is the one that the example is in.
    """

    target: str
    policy: str
    rule: str
    answer: str
    effect: Effect
    workload: WorkloadKey
    count: int
    recording: str
    example: Example | None
    relaxation: Relaxation


@dataclass(frozen=True, slots=True)
class Open:
    """What could not be judged; *workload* and *policy* None are of no one in particular."""

    reason: str
    count: int
    recording: str
    workload: WorkloadKey | None = None
    policy: str | None = None


_Spoken = tuple[str, str | None, str]
_Refused = tuple[str, str, str, Effect, str]


@dataclass
class Report:
    """The outcomes of any number of recordings; *policies* had a part in them."""

    refusals: dict[_Refused, Refusal] = field(default_factory=dict)
    left_open: dict[tuple[str, str | None, str | None, str], Open] = field(default_factory=dict)
    judged: dict[_Spoken, int] = field(default_factory=lambda: defaultdict(int))
    policies: set[str] = field(default_factory=set)
    covered: set[str] = field(default_factory=set)
    uncovered: set[str] = field(default_factory=set)

    def of(self, effect: Effect) -> list[Refusal]:
        """Return what is refused with *effect*, by workload, target and rule."""
        chosen = (one for one in self.refusals.values() if one.effect == effect)
        return sorted(chosen, key=lambda r: (str(r.workload), r.target, r.policy, r.rule))

    def add(
        self,
        seen: Observations,
        by_target: Mapping[str, tuple[Replayer, Sequence[Policy]]],
    ) -> None:
        """Add what the policies do to the recording *seen*."""
        found = {
            target: list(replayer.replay(policies, seen))
            for target, (replayer, policies) in by_target.items()
        }
        sights = {one.sight for one in _denied(found) if one.sight is not None}
        known = examples(seen, sights)
        for target, outcomes in found.items():
            for one in outcomes:
                self._add(target, one, seen, known)
        named = {_name(key) for key in seen.keys.values()}
        self.uncovered = (self.uncovered | named) - self.covered
        self._add_losses(seen)

    def _add(
        self, target: str, one: Outcome, seen: Observations, known: Mapping[Sight, Example]
    ) -> None:
        match one:
            case Denied():
                key = _key(one.workload, seen)
                refusal = Refusal(
                    target=target,
                    policy=one.policy,
                    rule=one.rule,
                    answer=one.answer,
                    effect=one.effect,
                    workload=replace(key, image_digest=None),
                    count=one.count,
                    recording=seen.name,
                    example=known[one.sight] if one.sight else None,
                    relaxation=one.relaxation,
                )
                place = (target, one.policy, one.rule, one.effect, _name(key))
                before = self.refusals.get(place)
                self.refusals[place] = (
                    replace(before, count=before.count + one.count) if before else refusal
                )
            case Judged():
                name = _name(_key(one.workload, seen))
                self.judged[target, one.policy, one.what] += one.count
                self.covered.add(name)
                if one.policy is not None:
                    self.policies.add(one.policy)
            case Unjudged():
                if one.policy is not None:
                    self.policies.add(one.policy)
                self._leave_open(one, seen)
            case Picked():
                self.policies.add(one.policy)

    def _leave_open(self, one: Unjudged, seen: Observations) -> None:
        key = None if one.workload is None else _key(one.workload, seen)
        who = None if key is None else replace(key, image_digest=None)
        place = (one.reason, one.policy, str(who), seen.name)
        before = self.left_open.get(place)
        count = one.count + (before.count if before else 0)
        self.left_open[place] = Open(one.reason, count, seen.name, who, one.policy)

    def _add_losses(self, seen: Observations) -> None:
        for workload, count in seen.losses.items():
            if workload is None or workload not in seen.keys:
                reason = "events were lost, of whom is not known: what is gone is not judged"
                self._leave_open(Unjudged(reason, count), seen)
            elif _name(seen.keys[workload]) in self.covered:
                reason = "events of it were lost while it was recorded: what is gone is not judged"
                self._leave_open(Unjudged(reason, count, workload=workload), seen)
        if seen.recording.is_truncated:
            reason = "the recorder was killed: the window that was open then is missing"
            self._leave_open(Unjudged(reason, 1), seen)


def replayed(
    recordings: Iterable[Observations],
    by_target: Mapping[str, tuple[Replayer, Sequence[Policy]]],
) -> Report:
    """Return what the policies of *by_target* do to *recordings*, one after the other."""
    report = Report()
    for seen in recordings:
        report.add(seen, by_target)
    return report


def _denied(found: Mapping[str, Sequence[Outcome]]) -> Iterable[Denied]:
    return (one for outcomes in found.values() for one in outcomes if isinstance(one, Denied))


def _key(workload: int | WorkloadKey, seen: Observations) -> WorkloadKey:
    return seen.keys[workload] if isinstance(workload, int) else workload


def _name(key: WorkloadKey) -> str:
    return str(replace(key, image_digest=None))
