"""Reviewed decisions about rules: schema `ethogram.overlay/1`, and how its file is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ethogram.contracts.baseline_models import Overlay, Subject
from ethogram.contracts.baseline_values import (
    VALUE_MODELS,
    AnyValue,
    Dimension,
    Frozen,
    Text,
    rule_id,
)
from ethogram.contracts.matching import pattern_to_regex
from ethogram.contracts.syscall_names import name_of, number_of
from ethogram.contracts.written_file import WrittenFile

__all__ = [
    "OVERLAY_SCHEMA",
    "Entry",
    "OverlayFile",
    "OverlayMatch",
    "Target",
    "day_of",
    "load_overlay",
    "parse_overlay",
]

OVERLAY_SCHEMA: Literal["ethogram.overlay/1"] = "ethogram.overlay/1"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXAMPLE = (
    '{match: {kind: Deployment, name: shop}, allow: "files:/etc/shadow", '
    'author: alice, reason: ..., expires: "2027-01-31"}'
)


def day_of(value: object) -> object:
    """Return a day as YAML or a person wrote it; a number or a time of day is none."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        return date.fromisoformat(value)
    raise ValueError("a day is written like `2027-01-31`")


class OverlayMatch(Frozen):
    """Which workloads an entry is for: what is absent matches anything; `*` is any characters.

    *name* and *namespace* are patterns. At least one field says something.
    """

    kind: Text | None = None
    name: Text | None = None
    container: Text | None = None
    namespace: Text | None = None
    image_digest: tuple[Text, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError('it says no workload: `name: "*"` is for all of them')
        return self

    def applies_to(self, subject: Subject, digests: Collection[str]) -> bool:
        """Return whether the entry is for the workload *subject*, seen with images *digests*."""
        return (
            self.kind in (None, subject.kind)
            and self.container in (None, subject.container)
            and _fits(self.name, subject.name)
            and _fits(self.namespace, subject.namespace)
            and (self.image_digest is None or not set(self.image_digest).isdisjoint(digests))
        )


def _fits(pattern: str | None, text: str | None) -> bool:
    if pattern is None:
        return True
    return text is not None and pattern_to_regex(pattern).fullmatch(text) is not None


class Target(Frozen):
    """What an entry is about: a *rule* by its name, of what was seen, or any *value*."""

    rule: Text | None = None
    dimension: Dimension | None = None
    value: AnyValue | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone_is_a_rule(cls, data: object) -> object:
        return {"rule": data} if isinstance(data, str) else data

    @field_validator("value", mode="before")
    @classmethod
    def _value_is_of_its_dimension(cls, value: object, info: ValidationInfo) -> object:
        dimension = info.data.get("dimension")
        if dimension is None or not isinstance(value, dict):
            raise ValueError("it needs `dimension`, and the fields of that dimension's values")
        try:
            return VALUE_MODELS[dimension].model_validate(
                _whole_call(value) if dimension == "syscalls" else value
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"`{field}` of {dimension}: {first['msg']}") from None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.rule is None) == (self.value is None):
            raise ValueError('it is a rule such as "files:/etc/shadow", or dimension and value')
        return self

    @property
    def id(self) -> str | None:
        """The id of the rule for *value*; None where a *rule* is named."""
        if self.dimension is None or self.value is None:
            return None
        return rule_id(self.dimension, self.value)

    def __str__(self) -> str:
        return self.rule or str(self.id)


def _whole_call(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of a system call with both its name and its number."""
    arch, name, nr = value.get("arch"), value.get("name"), value.get("nr")
    if not isinstance(arch, str):
        return dict(value)
    if nr is None and isinstance(name, str):
        nr = number_of(arch, name)
        if nr is None:
            raise ValueError(f"{arch} has no system call `{name}`")
    known = name_of(arch, nr) if isinstance(nr, int) else None
    if isinstance(name, str) and known != name:
        raise ValueError(f"system call {nr} of {arch} is not `{name}`")
    named = {} if known is None else {"name": known}
    return dict(value) | named | {"nr": nr}


class Entry(Frozen):
    """One decision: what some workloads may do, or may not, who says so, why, and until when."""

    match: OverlayMatch
    allow: Target | None = None
    deny: Target | None = None
    author: Text
    reason: Text
    expires: Annotated[date, BeforeValidator(day_of)]

    @model_validator(mode="after")
    def _allows_or_denies(self) -> Self:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("it has either `allow` or `deny`")
        return self

    @property
    def target(self) -> Target:
        target = self.allow or self.deny
        assert target is not None
        return target

    @property
    def overlay(self) -> Overlay:
        """The decision as a baseline records it."""
        return Overlay(author=self.author, reason=self.reason, expires=self.expires.isoformat())

    def __str__(self) -> str:
        return f"{'allow' if self.allow else 'deny'} `{self.target}`"


class _Document(Frozen):
    schema_name: Literal["ethogram.overlay/1"] = Field(OVERLAY_SCHEMA, alias="schema")
    entries: Annotated[tuple[Entry, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class OverlayFile:
    """The entries of one file, by the name that it was read under."""

    name: str
    sha256: str
    entries: tuple[Entry, ...]


_FILE = WrittenFile(
    name="an overlay",
    schema=OVERLAY_SCHEMA,
    model=_Document,
    then="entries:",
    examples={"entries": _EXAMPLE},
)


def load_overlay(path: Path) -> OverlayFile:
    """Return the overlay in file *path*; every failure is a `UsageError` with file and cause."""
    return parse_overlay(_FILE.read(path), source=str(path))


def parse_overlay(text: str, *, source: str = "overlay") -> OverlayFile:
    """Return the overlay in *text*; `UsageError` names *source*, the field and the cause."""
    entries = _FILE.parse(text, source=source).entries
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return OverlayFile(Path(source).name, digest, entries)
