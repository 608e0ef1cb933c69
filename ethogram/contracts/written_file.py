"""Files that people write by hand, as YAML with a `schema`: read whole, bounded and checked.

Every such file is read alike, and refused in the same words: what it is instead, or which field is
wrong, why, and how it is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ethogram.contracts.foreign import recognise
from ethogram.contracts.strict_yaml import StrictYamlError, load_yaml
from ethogram.errors import UsageError

__all__ = ["WrittenFile"]

_LIMIT_BYTES = 1 << 20
# What pydantic says of a YAML value of the wrong kind is in the words of Python.
_CAUSES = {
    "dict_type": "it is no mapping",
    "model_type": "it is no mapping",
    "tuple_type": "it is no list",
}

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile(Generic[Model]):
    """One kind of file; *name* is what `recognise` calls it, such as `a map of environments`.

    *then* is what follows its schema; *examples* show what its fields hold, by their names.
    """

    name: str
    schema: str
    model: type[Model]
    then: str
    examples: Mapping[str, str]

    @property
    def _what(self) -> str:
        return self.name.partition(" ")[2]

    @property
    def _begin(self) -> str:
        return f"begin one with `schema: {self.schema}`, then `{self.then}`"

    def load(self, path: Path) -> Model:
        """Return what is in file *path*; every failure is a `UsageError` with file and cause."""
        return self.parse(self.read(path), source=str(path))

    def read(self, path: Path) -> str:
        """Return the text of file *path*; raises as `load` does."""
        try:
            if path.is_dir():
                raise UsageError(f"{self._what} `{path}` is a directory", hint="name a file in it")
            with path.open("rb") as file:
                content = file.read(_LIMIT_BYTES + 1)
        except FileNotFoundError as error:
            raise UsageError(f"there is no {self._what} `{path}`", hint=self._begin) from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"{self._what} `{path}` cannot be read: {reason}") from error
        if len(content) > _LIMIT_BYTES:
            begin = content.decode("utf-8", "replace")
            raise self._refusal(str(path), "it is larger than 1 MiB", begin)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._refusal(str(path), "it is not UTF-8 text", "") from error

    def parse(self, text: str, *, source: str) -> Model:
        """Return what *text* says; `UsageError` names *source*, the field and the cause."""
        try:
            document = load_yaml(text)
        except StrictYamlError as error:
            cause = f"it is not YAML that ethogram reads: {error}"
            raise self._refusal(source, cause, text) from error
        if not isinstance(document, dict):
            cause = "it is empty" if document is None else "it is no mapping"
            raise self._refusal(source, cause, text)
        self._check_schema(document.get("schema"), source, text)
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise self._field_error(error, source) from error

    def _check_schema(self, schema: object, source: str, text: str) -> None:
        if schema == self.schema:
            return
        kind = re.escape(self.schema.partition("/")[0])
        if isinstance(schema, str) and re.fullmatch(f"{kind}/[0-9]{{1,9}}", schema):
            raise UsageError(
                f"{self._what} `{source}` has schema `{schema}`; this version reads "
                f"`{self.schema}`",
                hint=f"upgrade ethogram, or write the {self._what} for this version",
            )
        raise self._refusal(source, f"it has no `schema: {self.schema}`", text)

    def _refusal(self, source: str, cause: str, text: str) -> UsageError:
        """Return why *source* is none: what it is, where that can be told, else *cause*."""
        what = recognise(text)
        if what is not None and what != self.name:
            return UsageError(f"`{source}` is {what}, not {self.name}", hint=self._begin)
        return UsageError(f"`{source}` is not {self.name}: {cause}", hint=self._begin)

    def _field_error(self, error: ValidationError, source: str) -> UsageError:
        problems = error.errors(include_url=False)
        # A misspelt field is two problems: one that nobody knows, which says more, and one missing.
        problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
        first = problems[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f"{self._what} `{source}`: " + (f"field `{place}`: " if place else "")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        if first["type"] == "extra_forbidden":
            known = _known(self.model, first["loc"][:-1])
            guess = get_close_matches(str(first["loc"][-1]), known, n=1)
            listed = "known: " + ", ".join(f"`{name}`" for name in known)
            return UsageError(
                f"{where}there is no such field{more}",
                hint=f"did you mean `{guess[0]}`?" if guess else listed,
            )
        return UsageError(f"{where}{_cause(first)}{more}", hint=self._example(first))

    def _example(self, problem: ErrorDetails) -> str | None:
        section = str(problem["loc"][0]) if problem["loc"] else ""
        if section not in self.examples:
            return None
        hint = f"it reads like `{self.examples[section]}`"
        is_scalar = isinstance(problem["input"], bool | int | float | date | None)
        if problem["type"] == "string_type" and is_scalar:
            hint += "; words such as `on` and `no`, and numbers, need quotes"
        return hint


def _cause(problem: ErrorDetails) -> str:
    """Return the cause of *problem*: in our words where we wrote it, else in pydantic's."""
    cause = _CAUSES.get(problem["type"], problem["msg"])
    return (
        cause.removeprefix("Value error, ")
        if problem["type"] == "value_error"
        else cause[0].lower() + cause[1:]
    )


def _known(kind: Any, place: Sequence[str | int]) -> list[str]:
    """Return the names of the fields that *kind* has at *place*."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {one.alias or name: one.annotation for name, one in kind.model_fields.items()}
        if not place:
            return list(fields)
        return _known(fields.get(str(place[0])), place[1:])
    is_choice = get_origin(kind) in (Union, UnionType, Annotated)
    inside = place if is_choice else place[1:]
    return [name for part in get_args(kind) for name in _known(part, inside)]
