"""What people decide to withhold of paths, names and sockets: schema `ethogram.redaction/1`."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ethogram.contracts.baseline_values import Frozen
from ethogram.contracts.written_file import WrittenFile

__all__ = ["REDACTION_SCHEMA", "WITHHELD", "RedactionRule", "load_redaction", "withhold"]

REDACTION_SCHEMA: Literal["ethogram.redaction/1"] = "ethogram.redaction/1"
WITHHELD = b"[redacted]"
_EXAMPLE = '{name: home-directories, paths: ["/home/{*}/**"]}'
_TOKEN = re.compile(r"\*\*|\*|\{|\}|[^*{}]+")


def _is_pattern(text: str) -> str:
    """Refuse what withholds nothing, and what a workload could make slow to match."""
    compiled("/", text)
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Pattern = Annotated[str, StringConstraints(max_length=1024), AfterValidator(_is_pattern)]


class RedactionRule(Frozen):
    """What is withheld, by patterns of paths, of DNS names in lower case, and of UNIX sockets.

    `*` is any characters of one part, `**` any at the beginning or at the end. What stands in
    braces is withheld, the rest stays. A socket without a file is written `@name`.
    """

    name: Name
    paths: tuple[Pattern, ...] = ()
    dns: tuple[Pattern, ...] = ()
    sockets: tuple[Pattern, ...] = ()

    @model_validator(mode="after")
    def _withholds_something(self) -> Self:
        if not (self.paths or self.dns or self.sockets):
            raise ValueError("it has neither `paths` nor `dns` nor `sockets`")
        for path in self.paths:
            if not path.startswith(("/", "**", "{**")):
                raise ValueError(f"`{path}` begins with neither `/` nor `**`: no path does")
        for name in self.dns:
            if name != name.lower():
                raise ValueError(f"`{name}` is not in lower case, as names are recorded")
        return self

    @cached_property
    def of_paths(self) -> tuple[Compiled, ...]:
        return tuple(compiled("/", pattern) for pattern in self.paths)

    @cached_property
    def of_names(self) -> tuple[Compiled, ...]:
        return tuple(compiled(".", pattern) for pattern in self.dns)

    @cached_property
    def of_sockets(self) -> tuple[Compiled, ...]:
        return tuple(compiled("/", pattern) for pattern in self.sockets)


class Compiled:
    """A pattern as a regular expression; *is_anywhere* where it begins with `**`."""

    def __init__(self, regex: re.Pattern[bytes], *, is_anywhere: bool) -> None:
        self.regex = regex
        self.is_anywhere = is_anywhere

    def withhold(self, text: bytes) -> bytes:
        """Return *text* with `[redacted]` for each group, where the pattern is of *text*."""
        if self.is_anywhere:
            return self.regex.sub(_without_groups, text)
        match = self.regex.fullmatch(text)
        return text if match is None else _without_groups(match)


def compiled(separator: str, pattern: str) -> Compiled:
    """Return *pattern*, whose parts *separator* divides; `ValueError` says what is wrong."""
    tokens = _TOKEN.findall(pattern)
    if tokens.count("{") != tokens.count("}") or tokens.count("{") == 0:
        raise ValueError(f"`{pattern}` has no part in braces, which would be withheld")
    for part in pattern.replace("**", "").split(separator):
        if part.count("*") > 1:
            raise ValueError(f"`{pattern}` has two `*` in one part")
    is_anywhere = tokens[0] == "**"
    tokens = tokens[1:] if is_anywhere else tokens
    tail = f"{re.escape(separator)}.*" if tokens[-1:] == ["**"] else None
    if tail is not None and tokens[-2:-1] and tokens[-2].endswith(separator):
        tokens = [*tokens[:-2], tokens[-2].removesuffix(separator)]
    elif tail is not None:
        tokens, tail = tokens[:-1], ".*"
    regex, depth = "", 0
    for index, token in enumerate(tokens):
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth not in (0, 1):
            raise ValueError(f"`{pattern}` has braces within braces")
        is_edge = not set(tokens[:index]) - {"{"} or not set(tokens[index + 1 :]) - {"}"}
        if token == "**" and not is_edge:  # noqa: S105  no password
            raise ValueError(f"`{pattern}`: `**` stands at the beginning or at the end alone")
        regex += {"{": "(", "}": ")", "*": f"[^{re.escape(separator)}]*", "**": ".*"}.get(
            token, re.escape(token)
        )
    if is_anywhere:
        regex += f"(?={re.escape(separator)}|\\Z)" if tail and tail != ".*" else ""
        regex += "" if tail else "\\Z"
    elif tail:
        regex += f"(?:{tail})?" if tail != ".*" else tail
    return Compiled(re.compile(regex.encode(), re.DOTALL), is_anywhere=is_anywhere)


def _without_groups(match: re.Match[bytes]) -> bytes:
    text, done = b"", match.start()
    for number in range(1, len(match.groups()) + 1):
        begin, end = match.span(number)
        if end > begin:
            text += match.string[done:begin] + WITHHELD
            done = end
    return text + match.string[done : match.end()]


def withhold(patterns: tuple[Compiled, ...], text: bytes) -> bytes:
    """Return *text* after each of *patterns*."""
    for pattern in patterns:
        text = pattern.withhold(text)
    return text


class _Document(Frozen):
    schema_name: Literal["ethogram.redaction/1"] = Field(REDACTION_SCHEMA, alias="schema")
    rules: Annotated[tuple[RedactionRule, ...], Field(min_length=1, max_length=256)]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("two rules have one name")
        return self


_FILE = WrittenFile(
    name="a file of redaction rules",
    schema=REDACTION_SCHEMA,
    model=_Document,
    then="rules:",
    examples={"rules": _EXAMPLE},
)


def load_redaction(path: Path) -> tuple[RedactionRule, ...]:
    """Return the rules in file *path*; every failure is a `UsageError` with its cause."""
    return _FILE.load(path).rules
