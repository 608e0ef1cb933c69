"""Findings that people decided not to hear of for a while: schema `ethogram.suppressions/1`."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ethogram.contracts.baseline_models import Subject
from ethogram.contracts.baseline_values import Frozen, Text
from ethogram.contracts.finding import WorkloadState
from ethogram.contracts.foreign import recognise
from ethogram.contracts.overlay_file import day_of
from ethogram.contracts.strict_yaml import StrictYamlError, load_yaml
from ethogram.contracts.written_file import read_written
from ethogram.errors import UsageError

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
    """Return whether *pattern* says more than that anything will do."""
    return pattern is not None and pattern.strip("*") != ""


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


def load_suppressions(path: Path) -> tuple[Suppression, ...]:
    """Return the suppressions in file *path*; every failure is a `UsageError` with its cause."""
    begin = f"begin one with `schema: {SUPPRESSIONS_SCHEMA}` and `suppressions:`"
    text = read_written(path, "file of suppressions", begin=begin, refusal=_refusal)
    return parse_suppressions(text, source=str(path))


def parse_suppressions(text: str, *, source: str) -> tuple[Suppression, ...]:
    """Return the suppressions in *text*; `UsageError` names *source*, the field and the cause."""
    try:
        document = load_yaml(text)
    except StrictYamlError as error:
        raise _refusal(source, f"it is not YAML that ethogram reads: {error}", text) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SUPPRESSIONS_SCHEMA:
        raise _refusal(source, f"it has no `schema: {SUPPRESSIONS_SCHEMA}`", text)
    try:
        return _Document.model_validate(document).suppressions
    except ValidationError as error:
        raise _field_error(error, source) from error


def _refusal(source: str, cause: str, text: str) -> UsageError:
    what = recognise(text)
    hint = f"it begins with `schema: {SUPPRESSIONS_SCHEMA}`, then `suppressions:`"
    if what is not None and what != "a file of suppressions":
        return UsageError(f"`{source}` is {what}, not a file of suppressions", hint=hint)
    return UsageError(f"`{source}` is no file of suppressions: {cause}", hint=hint)


def _field_error(error: ValidationError, source: str) -> UsageError:
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt field is two problems: one that nobody knows, which says more, and one missing.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"]) or "document"
    cause = first["msg"].removeprefix("Value error, ")
    cause, hint = cause[0].lower() + cause[1:], f"one reads like `{_EXAMPLE}`"
    if first["type"] == "extra_forbidden":
        known = [*Suppression.model_fields, *SuppressionMatch.model_fields]
        guess = get_close_matches(str(first["loc"][-1]), known, n=1)
        cause = "is not a field of a suppression"
        hint = f"did you mean `{guess[0]}`?" if guess else hint
    return UsageError(f"suppressions `{source}`: field `{field}`: {cause}", hint=hint)
