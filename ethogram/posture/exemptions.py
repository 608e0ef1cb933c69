"""Decisions that something found may stay: in a file of their own, or on the object itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path as FilePath
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.overlay_file import day_of
from ethogram.contracts.suppression_file import fits
from ethogram.contracts.written_file import WrittenFile
from ethogram.posture.findings import Exempted, PostureFinding
from ethogram.posture.grades import GRADES
from ethogram.posture.objects import KubeObject
from ethogram.posture.pods import Path, Problem, mapping

__all__ = [
    "ANNOTATION",
    "EXEMPTIONS_SCHEMA",
    "Exemption",
    "ExemptionMatch",
    "annotated",
    "bad_annotations",
    "chosen",
    "load_exemptions",
    "parse_exemptions",
]

EXEMPTIONS_SCHEMA: Literal["ethogram.exemptions/1"] = "ethogram.exemptions/1"
_EXAMPLE = (
    "{match: {kind: DaemonSet, name: agent}, check: privileged, owner: alice, reason: ..., "
    'expires: "2027-01-31"}'
)
# Before the id of a rule; the value is `OWNER, 2027-01-31: REASON`.
ANNOTATION = "exempt.ethogram.dev/"
_VALUE = re.compile(r"\s*([^,]+?)\s*,\s*([0-9]{4}-[0-9]{2}-[0-9]{2})\s*:\s*(\S.*?)\s*", re.DOTALL)
_RULES = frozenset(name for name in GRADES if "/" not in name)
_FORM = "`OWNER, 2027-01-31: REASON`, under the id of a rule"


class ExemptionMatch(Frozen):
    """Which objects it is for; what is absent matches anything. All but *kind* are patterns."""

    kind: Text | None = None
    name: Text | None = None
    namespace: Text | None = None
    container: Text | None = None

    def applies_to(self, finding: PostureFinding) -> bool:
        """Return whether it is for the owner and container of *finding*."""
        owner = finding.owner
        return (
            self.kind in (None, owner.kind)
            and fits(self.name, owner.name)
            and fits(self.namespace, owner.namespace)
            and (self.container is None or fits(self.container, finding.container or None))
        )


class Exemption(Frozen):
    """A decision about what *check* found: *check* and *value* are patterns."""

    match: ExemptionMatch | None = None
    check: Text
    value: Text | None = None
    owner: Text
    reason: Text
    expires: Annotated[date, BeforeValidator(day_of)]

    @model_validator(mode="after")
    def _is_narrow_enough(self) -> Self:
        named = self.match and any(
            one is not None and one.strip("*") for one in (self.match.name, self.match.namespace)
        )
        if not self.check.strip("*") and not named:
            raise ValueError("it names neither a rule nor a workload nor a namespace")
        return self

    def applies_to(self, finding: PostureFinding) -> bool:
        """Return whether it is about *finding*."""
        return (
            fits(self.check, finding.check)
            and (self.match is None or self.match.applies_to(finding))
            and (self.value is None or fits(self.value, str(finding.value)))
        )

    def told(self, source: str) -> Exempted:
        """Return what a finding says of it."""
        return Exempted(self.owner, self.reason, self.expires.isoformat(), source)


class _Document(Frozen):
    schema_name: Literal["ethogram.exemptions/1"] = Field(EXEMPTIONS_SCHEMA, alias="schema")
    exemptions: tuple[Exemption, ...]


_FILE = WrittenFile(
    name="a file of exemptions",
    schema=EXEMPTIONS_SCHEMA,
    model=_Document,
    then="exemptions:",
    examples={"exemptions": _EXAMPLE},
)


def load_exemptions(path: FilePath) -> tuple[Exemption, ...]:
    """Return the exemptions in file *path*; every failure is a `UsageError` with its cause."""
    return _FILE.load(path).exemptions


def parse_exemptions(text: str, *, source: str) -> tuple[Exemption, ...]:
    """Return the exemptions in *text*; `UsageError` names *source*, the field and the cause."""
    return _FILE.parse(text, source=source).exemptions


def annotated(one: KubeObject) -> Iterator[Exemption]:
    """Yield the exemptions that annotations of *one*, or of its pods, say."""
    for _, check, value in _annotations(one):
        match = _VALUE.fullmatch(value) if isinstance(value, str) else None
        if match and check in _RULES and (day := _day(match[2])):
            yield Exemption(check=check, owner=match[1], reason=match[3], expires=day)


def bad_annotations(one: KubeObject) -> Iterator[Problem]:
    """Yield annotations that look like exemptions, and say none."""
    for path, check, value in _annotations(one):
        match = _VALUE.fullmatch(value) if isinstance(value, str) else None
        if match is None or check not in _RULES or _day(match[2]) is None:
            yield Problem((*path, f"{ANNOTATION}{check}"), value, _FORM)


def _annotations(one: KubeObject) -> Iterator[tuple[Path, str, object]]:
    pod = one.pod
    places: list[tuple[Path, object]] = [((), one.metadata.get("annotations"))]
    if pod is not None and pod.at:
        places.append((pod.at, pod.annotations))
    for above, found in places:
        for name, value in mapping(found).items():
            if name.startswith(ANNOTATION):
                check = name.removeprefix(ANNOTATION)
                yield (*above, "metadata", "annotations"), check, value


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def chosen(
    finding: PostureFinding, exemptions: Sequence[tuple[Exemption, str]], today: date
) -> tuple[Exempted | None, Exempted | None]:
    """Return the exemption of *finding* that is in force, and else the last that was."""
    fitting = sorted(
        (pair for pair in exemptions if pair[0].applies_to(finding)),
        key=lambda pair: pair[0].expires,
    )
    if not fitting:
        return None, None
    last, source = fitting[-1]
    told = last.told(source)
    return (told, None) if last.expires >= today else (None, told)
