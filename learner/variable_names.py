"""Finds the parts of file names that differ from run to run: temporary names, shards, time stamps.

A program that writes `/var/lib/app/state.1gp9i3ns` today writes `state.k2x0qq4d` tomorrow. What
differs becomes `*`, only where all of this holds:

- the workload created the files itself (`c` or `n` in their access): files of an image or a
  package are never merged;
- at least `FEWEST` names in one directory differ in one part and in nothing else. Parts are what
  `.` and `-` separate, or else what follows a common beginning of two characters or more;
- that part looks made up by a program: all digits, or of one length and no words;
- the name begins with two characters or more that stay: no rule allows every name in a directory.

A path is looked at from its root, so that directories with such names are found as well. `*` never
stands for more than one component of a path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeAlias

__all__ = ["FEWEST", "variable_names"]

FEWEST = 5
_PARTS = re.compile(r"([.-])")
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
_MARKED = re.compile(r"[0-9_]|[a-z][A-Z]")
_FEWEST_LITERAL = 2
_FEWEST_DRAWN = 6
# (pattern, shape of what differs) -> name -> what differs in it
_Groups: TypeAlias = "dict[tuple[str, str], dict[str, str]]"


def variable_names(paths: Iterable[str], created: Iterable[str]) -> dict[str, str]:
    """Return the pattern for each of *paths* that has one; *created* are those of the workload.

    Paths are escaped; literal `*` is `\\x2a` in them.
    """
    root = _Directory()
    for path in created:
        root.add(path.split("/"))
    found: dict[str, str] = {}
    for path in paths:
        pattern = "/".join(root.patterns_of(path.split("/")))
        if pattern != path:
            found[path] = pattern
    return found


@dataclass
class _Directory:
    """What was created below one directory, and the patterns of its names once asked for."""

    below: dict[str, _Directory] = field(default_factory=dict)
    patterns: Mapping[str, str] | None = None

    def add(self, names: list[str]) -> None:
        if names:
            self.below.setdefault(names[0], _Directory()).add(names[1:])

    def patterns_of(self, names: list[str]) -> Iterator[str]:
        """Yield *names*, the components of a path below, each as its pattern or as it is."""
        directory: _Directory | None = self
        for name in names:
            if directory is None:
                yield name
                continue
            if directory.patterns is None:
                directory.merge()
            assert directory.patterns is not None
            pattern = directory.patterns.get(name, name)
            yield pattern
            directory = directory.below.get(pattern)

    def merge(self) -> None:
        """Find the patterns, and join what lies below the names of each."""
        self.patterns = dict(_patterns(self.below))
        joined: dict[str, _Directory] = {}
        for name, directory in self.below.items():
            joined.setdefault(self.patterns.get(name, name), _Directory()).take(directory)
        self.below = joined

    def take(self, other: _Directory) -> None:
        for name, directory in other.below.items():
            self.below.setdefault(name, _Directory()).take(directory)


def _patterns(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *names* in one directory that is one of many, with its pattern.

    The pattern that keeps most of the name wins.
    """
    left = {name for name in names if not _ESCAPED.search(name)}
    for find in (_by_part, _by_beginning):
        groups = find(left)
        for pattern in sorted(groups, key=lambda pattern: (-len(pattern), pattern)):
            members = groups[pattern] & left
            if len(members) >= FEWEST:
                left -= members
                yield from ((name, pattern) for name in members)


def _by_part(names: Iterable[str]) -> dict[str, set[str]]:
    """Return names that differ in one part between separators, and in nothing else."""
    groups: _Groups = defaultdict(dict)
    for name in names:
        parts = _PARTS.split(name)
        for index in range(0, len(parts), 2):
            shape = _shape(parts[index])
            others = [*parts[:index], "*", *parts[index + 1 :]]
            if shape and _is_telling(others[0]):
                groups["".join(others), shape][name] = parts[index]
    result: dict[str, set[str]] = {}
    for (pattern, _), members in groups.items():
        if _are_made_up(members.values()):
            result.setdefault(pattern, set()).update(members)
    return result


def _by_beginning(names: Iterable[str]) -> dict[str, set[str]]:
    """Return names that share a beginning and an end, with something made up in between."""
    groups: _Groups = defaultdict(dict)
    for name in names:
        first, *rest = _PARTS.split(name)
        shape = _shape(first[_FEWEST_LITERAL:])
        if shape:
            groups["".join([first[:_FEWEST_LITERAL], "*", *rest]), shape][name] = first
    result: dict[str, set[str]] = {}
    for (pattern, _), members in groups.items():
        beginning = _common_beginning(members.values())
        if all(first[len(beginning) :].isdigit() for first in members.values()):
            beginning = beginning.rstrip("0123456789")
        drawn = [first[len(beginning) :] for first in members.values()]
        if _is_telling(beginning) and _are_made_up(drawn):
            end = pattern.partition("*")[2]
            result.setdefault(f"{beginning}*{end}", set()).update(members)
    return result


def _common_beginning(texts: Iterable[str]) -> str:
    """Return the characters that all *texts* begin with."""
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return "".join(column[0] for column in columns)


def _shape(part: str) -> str | None:
    """Return what kind of made-up text *part* could be, None where it is none."""
    if part.isdigit() and part.isascii():
        return "digits"
    if len(part) >= _FEWEST_DRAWN and part.isascii() and part.replace("_", "").isalnum():
        return f"drawn {len(part)}"
    return None


def _are_made_up(parts: Iterable[str]) -> bool:
    """Return whether *parts* are enough, and few of them could be words.

    Letters and digits that were drawn at random hold a digit, or capitals among small letters,
    more often than not.
    """
    parts = list(parts)
    marked = sum(1 for part in parts if _MARKED.search(part))
    return len(parts) >= FEWEST and 2 * marked >= len(parts)


def _is_telling(beginning: str) -> bool:
    """Return whether a name that begins so still says whose file it is."""
    return beginning != "*" and len(beginning) >= _FEWEST_LITERAL
