"""The story of a rule: what it allows, who did it, how sure that is, and who decided about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Literal, assert_never

from ethogram.contracts.baseline import (
    AnyValue,
    Baseline,
    CapabilityValue,
    Dimension,
    DnsValue,
    Evidence,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    Overlay,
    PeerValue,
    SyscallValue,
    WidenedFrom,
)
from ethogram.contracts.overlays import in_force
from ethogram.contracts.rule_names import RuleNames
from ethogram.contracts.wording import in_words

__all__ = ["Story", "closest_name", "stories"]

Status = Literal["allowed", "quarantined", "withheld"]
_DONE = {
    "r": "read", "w": "written", "x": "executed", "c": "created by an open", "t": "truncated",
    "a": "appended to", "n": "made, or moved to this name", "d": "deleted, or moved away",
    "l": "linked to", "p": "given other permissions or another owner",
}  # fmt: skip
_ALONE: dict[tuple[str, ...], str] = {
    ("exec",): " (only sessions that entered from outside)",
    ("runtime",): " (only the container runtime, before the workload ran)",
}
_LEFT_OUT = {
    "without": "`--without` left it out",
    "only-phase": "`--only-phase` left it out: it was seen in none of the phases asked for",
    "min-replicas": "`--min-replicas` left it out: too few instances showed it",
    "overlay": "an overlay denies it",
    "expired": "the overlay that allowed it is over",
}


@dataclass(frozen=True, slots=True)
class Story:
    """What a baseline knows of one value; *by* says what withheld it."""

    id: str
    dimension: Dimension
    value: AnyValue
    status: Status
    evidence: Evidence
    instances: int
    recordings: int
    widened_from: WidenedFrom | None = None
    indicators: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()
    overlay: Overlay | None = None
    by: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the story for JSON; what is not known is left out."""
        return {
            "id": self.id,
            "dimension": self.dimension,
            "value": self.value.model_dump(mode="json", exclude_none=True),
            "words": deed(self.value),
            "status": self.status,
            "evidence": self.evidence.model_dump(mode="json", exclude_none=True),
            "instances": self.instances,
            "recordings": self.recordings,
            **({"by": self.by} if self.by else {}),
            **({"indicators": list(self.indicators)} if self.indicators else {}),
            **({"marked": list(self.marked)} if self.marked else {}),
            **{
                name: part.model_dump(mode="json", exclude_none=True)
                for name, part in (("widened_from", self.widened_from), ("overlay", self.overlay))
                if part is not None
            },
        }

    def lines(self) -> Iterator[str]:
        """Yield the story in plain words, a sentence a line."""
        is_allowed = self.status == "allowed"
        yield f"{'allows' if is_allowed else f'{self.status}: would allow'} {deed(self.value)}"
        yield from self._decisions()
        yield from self._seen()
        if self.widened_from is not None:
            shown = ", ".join(self.widened_from.examples)
            yield f"stands for {_count(self.widened_from.count, 'value')} that were seen: {shown}"

    def _decisions(self) -> Iterator[str]:
        is_held = self.status == "quarantined"
        if self.status == "withheld":
            yield _LEFT_OUT[str(self.by)]
        if self.indicators:
            fired = f"seen while an indicator fired: {', '.join(self.indicators)}"
            yield f"{fired}; not allowed until an overlay says so" if is_held else fired
        if self.marked:
            yield f"{'set apart' if is_held else 'marked'}: {', '.join(self.marked)}"
        if self.overlay is not None:
            until = f" until {self.overlay.expires}" if self.overlay.expires else ""
            yield f"overlay of {self.overlay.author}{until}: {self.overlay.reason}"

    def _seen(self) -> Iterator[str]:
        evidence = self.evidence
        if not evidence.windows:
            yield "never seen: it rests on the overlay alone"
            return
        yield (
            f"seen {_count(evidence.calls, 'time')} in {_count(evidence.windows, 'window')},"
            f" by {evidence.instances} of {_count(self.instances, 'replica')},"
            f" in {evidence.recordings} of {_count(self.recordings, 'recording')}"
        )
        yield f"phases: {', '.join(evidence.phases)}{_ALONE.get(evidence.phases, '')}"
        yield f"first {evidence.first_seen}, last {evidence.last_seen}"
        if evidence.executables:
            yield f"done by {', '.join(evidence.executables)}"
        elif self.dimension == "syscalls":
            yield "done by: not known, calls are counted for each instance"
        if evidence.example_exec_id:
            yield f"for example by process {evidence.example_exec_id}"


def stories(baseline: Baseline, name: str, *, today: date) -> list[Story]:
    """Return the story of each value of *baseline* that *name* means, as of *today*.

    A path that no rule has as it is means the patterns that it falls under.
    """
    known = _known(in_force(baseline, today))
    names = RuleNames({one.id: (one.dimension, one.value) for one in known.values()})
    return [known[identity] for identity in names.find(name) or names.covering(name)]


def closest_name(baselines: Iterable[Baseline], name: str) -> str | None:
    """Return the name of a rule that *name* was probably meant to be."""
    known = {
        one.id: (one.dimension, one.value) for each in baselines for one in _known(each).values()
    }
    return RuleNames(known).closest(name)


def _known(baseline: Baseline) -> dict[str, Story]:
    """Return what *baseline* knows of, by id: what is allowed, then what is not."""
    story = partial(
        Story, instances=baseline.observation.instances, recordings=len(baseline.inputs)
    )
    found = {
        rule.id: story(
            rule.id, dimension, rule.value, "allowed", rule.evidence,
            widened_from=rule.widened_from, indicators=rule.indicators or (),
            marked=rule.marked or (), overlay=rule.overlay,
        )
        for dimension, rule in baseline.rules.all()
    }  # fmt: skip
    for held in baseline.quarantined:
        found[held.id] = story(
            held.id, held.dimension, held.value, "quarantined", held.evidence,
            indicators=held.indicators, marked=held.reasons or (),
        )  # fmt: skip
    for left in baseline.withheld or ():
        found[left.id] = story(
            left.id, left.dimension, left.value, "withheld", left.evidence,
            widened_from=left.widened_from, indicators=left.indicators or (),
            marked=left.marked or (), overlay=left.overlay, by=left.by,
        )  # fmt: skip
    return found


def deed(value: AnyValue) -> str:  # noqa: PLR0911  one for each kind of value
    """Return what *value* lets a workload do, as part of a sentence."""
    words = in_words(value)
    match value:
        case SyscallValue():
            return f"the system call {words}, number {value.nr} of {value.arch}"
        case ExecValue():
            return f"executing {words}"
        case FileValue():
            done = ", ".join(_DONE[letter] for letter in value.access)
            what = f"files like {value.path}" if "*" in value.path else value.path
            return f"{what} to be {done or 'opened for the path alone'}"
        case PeerValue():
            return f"connections: {words}"
        case ListenValue():
            return f"listening: {words}"
        case DnsValue():
            return f"asking for the name {words}"
        case CapabilityValue():
            return f"using the capability {words}"
        case OperationValue():
            return f"the operation {words}"
        case _:
            assert_never(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
