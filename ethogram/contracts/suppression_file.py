"""Findings that people decided not to hear of for a while: schema `ethogram.suppressions/1`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ethogram.contracts.baseline_models import Subject
from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.finding import WorkloadState
from ethogram.contracts.overlay_file import day_of
from ethogram.contracts.written_file import WrittenFile

__all__ = [
    "SENSOR_RULES",
    "SUPPRESSIONS_SCHEMA",
    "Suppression",
    "SuppressionMatch",
    "fits",
    "load_suppressions",
    "parse_suppressions",
]

SUPPRESSIONS_SCHEMA: Literal["ethogram.suppressions/1"] = "ethogram.suppressions/1"
# What tells that somebody tampers with the sensor begins so: nobody may be deaf to it.
SENSOR_RULES = "sensor-"
_PHASES = Literal["unknown", "startup", "steady", "exec", "shutdown"]
_EXAMPLE = (
    "{match: {kind: Deployment, name: shop}, rule: recon-tool, owner: alice, reason: ..., "
    'expires: "2027-01-31"}'
)


class SuppressionMatch(Frozen):
    """Which workloads it is for; what is absent matches anything. All but *kind* are patterns."""

    kind: Text | None = None
    name: Text | None = None
    container: Text | None = None
    namespace: Text | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("it says no workload: leave `match` out, or name one")
        return self

    def applies_to(self, subject: Subject) -> bool:
        """Return whether it is for the workload *subject*."""
        return (
            self.kind in (None, subject.kind)
            and fits(self.container, subject.container)
            and fits(self.name, subject.name)
            and fits(self.namespace, subject.namespace)
        )


class Suppression(Frozen):
    """What of some workloads is not told until *expires*: who answers for that, and why.

    Every field that is there has to match. *rule*, *exe* and *value* are patterns, in which `*`
    is any characters: of the rule's name, of the path of the process that did it, and of what was
    seen, in the words of `evidence.observed` without what they add to the value.
    """

    match: SuppressionMatch | None = None
    rule: Text | None = None
    dimension: Text | None = None
    exe: Text | None = None
    value: Text | None = None
    state: WorkloadState | None = None
    phase: _PHASES | None = None
    owner: Text
    reason: Text
    expires: Annotated[date, BeforeValidator(day_of)]

    @model_validator(mode="after")
    def _is_narrow_enough(self) -> Self:
        workload = self.match.name if self.match else None
        if not _names(self.rule) and not _names(workload):
            raise ValueError("it names neither a rule nor a workload, and would hide far too much")
        if self.rule is not None and self.rule.startswith(SENSOR_RULES):
            raise ValueError("tampering with the sensor is never suppressed")
        return self

    def __str__(self) -> str:
        told = {"rule": self.rule, "dimension": self.dimension, "exe": self.exe,
                "value": self.value, "state": self.state, "phase": self.phase}  # fmt: skip
        words = [f"{name} `{value}`" for name, value in told.items() if value is not None]
        if self.match:
            found = self.match.model_dump(exclude_none=True)
            words.append("workload " + " ".join(f"{name}={one}" for name, one in found.items()))
        return ", ".join(words)


class _Document(Frozen):
    schema_name: Literal["ethogram.suppressions/1"] = Field(SUPPRESSIONS_SCHEMA, alias="schema")
    suppressions: tuple[Suppression, ...]


def _names(pattern: str | None) -> bool:
    """Return whether *pattern* says more than that anything will do, or anything with a dash."""
    return pattern is not None and any(letter.isalnum() for letter in pattern)


def fits(pattern: str | None, text: str | None) -> bool:
    """Return whether *text* is what *pattern* stands for; without a pattern anything is."""
    if pattern is None:
        return True
    return text is not None and _is_like(pattern, text)


def _is_like(pattern: str, text: str) -> bool:
    """Return whether *text* fits *pattern*, in one pass: who is watched chooses the text."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    end = len(text) - len(last)
    if len(first) > end or not text.startswith(first) or not text.endswith(last):
        return False
    at = len(first)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


_FILE = WrittenFile(
    name="a file of suppressions",
    schema=SUPPRESSIONS_SCHEMA,
    model=_Document,
    then="suppressions:",
    examples={"suppressions": _EXAMPLE},
)


def load_suppressions(path: Path) -> tuple[Suppression, ...]:
    """Return the suppressions in file *path*; every failure is a `UsageError` with its cause."""
    return _FILE.load(path).suppressions


def parse_suppressions(text: str, *, source: str) -> tuple[Suppression, ...]:
    """Return the suppressions in *text*; `UsageError` names *source*, the field and the cause."""
    return _FILE.parse(text, source=source).suppressions
