"""How people name a rule: by its id, the beginning of it, or by what it allows.

`syscalls:ptrace`, `files:/etc/passwd`, `peers:redis:6379`, and without the dimension where they
are sure. One name may mean several rules: a file that is read by one and written by another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import assert_never

from ethogram.contracts.baseline_values import (
    DIMENSIONS,
    AnyValue,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    PeerValue,
    SyscallValue,
)
from ethogram.contracts.matching import pattern_to_regex
from ethogram.contracts.wording import in_words

__all__ = ["RuleNames", "is_id"]

_ID = re.compile(rf"(?:{'|'.join(DIMENSIONS)})-[0-9a-f]{{1,12}}")
# What a typo is compared with: a large baseline must not make a refusal take seconds.
_COMPARED = 20_000

Key = tuple[Dimension, AnyValue]


def is_id(text: str) -> bool:
    """Return whether *text* is the id of a rule, or the beginning of one."""
    return _ID.fullmatch(text) is not None


class RuleNames:
    """The names of some rules, given as ids with what each is about, ready to be asked."""

    def __init__(self, rules: Mapping[str, Key]) -> None:
        self._rules = dict(rules)

    def find(self, text: str) -> list[str]:
        """Return the ids of the rules that *text* names, in the order in which they were given."""
        if is_id(text):
            return [identity for identity in self._rules if identity.startswith(text)]
        wanted, name = _split(text)
        return [
            identity
            for identity, (dimension, value) in self._rules.items()
            if wanted in (None, dimension) and name in _names(value)
        ]

    def covering(self, text: str) -> list[str]:
        """Return the ids of the patterns of files that the path *text* falls under."""
        wanted, name = _split(text)
        return [
            identity
            for identity, (dimension, value) in self._rules.items()
            if wanted in (None, dimension)
            and isinstance(value, FileValue)
            and "*" in value.path
            and pattern_to_regex(value.path).fullmatch(name)
        ]

    def closest(self, text: str) -> str | None:
        """Return the name that *text* was probably meant to be."""
        wanted, name = _split(text)
        if (program := self._program(wanted, name)) is not None:
            return program
        known: dict[str, str] = {}
        for dimension, value in islice(self._rules.values(), _COMPARED):
            if wanted in (None, dimension):
                known.update({one: f"{dimension}:{one}" for one in _names(value)})
        # `syscall:ptrace` has a word before the colon that is no dimension.
        for word in (name, name.partition(":")[2]):
            if found := get_close_matches(word, known, n=1, cutoff=0.6) if word else []:
                return known[found[0]]
        return None

    def _program(self, wanted: Dimension | None, name: str) -> str | None:
        """Return the rule of an executable that people call *name*: `curl` for `/usr/bin/curl`."""
        for dimension, value in islice(self._rules.values(), _COMPARED):
            if (
                wanted in (None, dimension)
                and isinstance(value, ExecValue)
                and value.path.rpartition("/")[2] == name
            ):
                return f"{dimension}:{value.path}"
        return None


def _split(text: str) -> tuple[Dimension | None, str]:
    """Return the dimension that *text* begins with, if any, and the rest."""
    for dimension in DIMENSIONS:
        if text.startswith(f"{dimension}:"):
            return dimension, text[len(dimension) + 1 :]
    return None, text


def _names(value: AnyValue) -> frozenset[str]:
    return frozenset(name for name in (in_words(value), *_short_names(value)) if name)


def _short_names(value: AnyValue) -> Iterator[str]:
    match value:
        case SyscallValue():
            yield str(value.nr)
            yield value.name or ""
        case ExecValue() | FileValue():
            yield value.path
        case PeerValue():
            yield from _peer_names(value)
        case ListenValue():
            if value.port is not None:
                yield str(value.port)
                yield f"{value.address}:{value.port}"
                yield f"{value.protocol}/{value.port}"
        case CapabilityValue():
            yield value.name.lower()
            yield value.name.removeprefix("CAP_").lower()
        case OperationValue():
            yield value.operation
        case DnsValue():
            return
        case _:
            assert_never(value)


def _peer_names(value: PeerValue) -> Iterator[str]:
    who = value.identity
    names = [value.address, value.name or ""]
    if who is not None:
        names += [who.name, f"{who.namespace}/{who.name}" if who.namespace else ""]
    for name in filter(None, names):
        yield name
        if value.port is not None:
            yield f"{name}:{value.port}"
