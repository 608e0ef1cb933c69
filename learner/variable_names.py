"""Finds the parts of file names that differ from run to run: temporary names, shards, counters.

A program that writes `/var/lib/app/state.1gp9i3ns` today writes `state.k2x0qq4d` tomorrow. What
differs becomes `*`, only where all of this holds:

- the workload created the files itself (`c` or `n` in their access);
- at least `FEWEST` names in one directory differ in numbers alone, or in one part and in nothing
  else. Parts are what `.` and `-` separate, or else what follows a common beginning of two
  characters or more;
- such a part looks made up by a program: digits, hexadecimal digits of one length, or of one
  length and no words;
- the name begins with two characters or more that stay: no rule allows every name in a directory.
  But a number that is a directory becomes `*`, and so do two hexadecimal digits where
  `FEWEST_ALIKE` directories are called so and none otherwise. Numbers that are files keep their
  first digit where the workload has `FEWEST_ALIKE` such files in a directory of nothing else.

A path is looked at from its root, so that directories with such names are found as well. `*` never
stands for more than one component of a path. What has a `*` already is a pattern, and stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile, zip_longest
from typing import TypeAlias

__all__ = ["FEWEST", "FEWEST_ALIKE", "variable_names"]

FEWEST = 5
FEWEST_ALIKE = 20
_PARTS = re.compile(r"([.-])")
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
_MARKED = re.compile(r"[0-9_]|[a-z][A-Z]")
# A run of hexadecimal digits of some length with a digit in it, or else any number.
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z])(?=[a-f]*[0-9])[0-9a-f]{8,}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])(?=[A-F]*[0-9])[0-9A-F]{8,}(?![0-9A-Za-z])"
    r"|[0-9]+"
)
_FAN = re.compile("[0-9a-f]{2}")
_FEWEST_LITERAL = 2
_FEWEST_DRAWN = 6
_FEWEST_HEX = 8
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
    files: dict[str, str] | None = None
    directories: Mapping[str, str] = field(default_factory=dict)

    def add(self, names: list[str]) -> None:
        directory = self
        for name in names:
            directory = directory.below.setdefault(name, _Directory())

    def patterns_of(self, names: list[str]) -> Iterator[str]:
        """Yield *names*, the components of a path below, each as its pattern or as it is."""
        directory: _Directory | None = self
        for number, name in enumerate(names, 1):
            if directory is None:
                yield name
                continue
            if directory.files is None:
                directory.merge()
            assert directory.files is not None
            is_last = number == len(names)
            pattern = (directory.files if is_last else directory.directories).get(name, name)
            yield pattern
            directory = directory.below.get(pattern)

    def merge(self) -> None:
        """Find the patterns, and join what lies below the names of each."""
        self.files = dict(_patterns(self.below))
        directories = [name for name, directory in self.below.items() if directory.below]
        self.directories = {
            **self.files,
            **dict(_by_number(directories, may_be_all=True)),
            **_fanned_out(directories),
        }
        self.files.update(_all_alike(self.below))
        joined: dict[str, _Directory] = {}
        for name, directory in self.below.items():
            known = joined.setdefault(self.directories.get(name, name), directory)
            if known is not directory:
                known.take(directory)
        self.below = joined

    def take(self, other: _Directory) -> None:
        # Not by recursion: a path may have two thousand components.
        pending = [(self, other)]
        while pending:
            own, taken = pending.pop()
            for name, directory in taken.below.items():
                known = own.below.setdefault(name, directory)
                if known is not directory:
                    pending.append((known, directory))


def _patterns(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each of *names* in one directory that is one of many, with its pattern.

    The pattern that keeps most of the name wins.
    """
    left = {name for name in names if not _ESCAPED.search(name)}
    for name, pattern in _by_number(left, may_be_all=False):
        yield name, pattern
        left.discard(name)
    left = {name for name in left if "*" not in name}
    for find in (_by_part, _by_beginning):
        groups = find(left)
        for pattern in sorted(groups, key=lambda pattern: (-len(pattern), pattern)):
            members = groups[pattern] & left
            if len(members) >= FEWEST:
                left -= members
                yield from ((name, pattern) for name in members)


def _by_number(names: Iterable[str], *, may_be_all: bool) -> list[tuple[str, str]]:
    """Return names that differ in their numbers alone, with their patterns.

    A number that all of them have stays.
    """
    groups: dict[tuple[str, tuple[int, ...]], dict[str, list[str]]] = defaultdict(dict)
    for name in names:
        numbers = _NUMBER.findall(name)
        if numbers and not _ESCAPED.search(name):
            widths = tuple(0 if len(text) < _FEWEST_HEX else len(text) for text in numbers)
            groups[_NUMBER.sub("\0", name), widths][name] = numbers
    found: list[tuple[str, str]] = []
    for (skeleton, _), members in groups.items():
        if len(members) < FEWEST:
            continue
        said = [_said(values) for values in zip(*members.values(), strict=True)]
        literals = skeleton.split("\0")
        pattern = "".join(map("".join, zip_longest(literals, said, fillvalue="")))
        beginning = pattern.partition("*")[0]
        if beginning == "" and skeleton.startswith("\0"):
            beginning = _leading(values[0] for values in members.values())
            pattern = beginning + pattern
        if len(beginning) >= _FEWEST_LITERAL or (may_be_all and skeleton == "\0"):
            found += [(name, pattern) for name in members]
    return found


def _said(values: Iterable[str]) -> str:
    """Return what stands for *values* at one place of names: the value where it is one."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else "*"


def _leading(values: Iterable[str]) -> str:
    """Return two digits that *values* begin with, where they are long and of one length.

    Those are the leading zeros of counters, or what times in seconds have for years.
    """
    values = list(values)
    (least, most), first = (f(map(len, values)) for f in (min, max)), values[0][:_FEWEST_LITERAL]
    is_slow = least == most and least >= _FEWEST_HEX
    return first if is_slow and all(value.startswith(first) for value in values) else ""


def _all_alike(below: Mapping[str, _Directory]) -> dict[str, str]:
    """Return patterns for files of numbers alone, where a directory has nothing else.

    Each keeps its first digit: `*` alone would be every name.
    """
    if len(below) < FEWEST_ALIKE or any(directory.below for directory in below.values()):
        return {}
    skeletons = {_NUMBER.sub("\0", name) for name in below}
    if len(skeletons) != 1:
        return {}
    (skeleton,) = skeletons
    if skeleton.count("\0") != 1 or not skeleton.startswith("\0") or "*" in skeleton:
        return {}
    found = dict(_by_number(below, may_be_all=False))
    return {name: found.get(name, f"{name[0]}*{skeleton[1:]}") for name in below}


def _fanned_out(directories: list[str]) -> dict[str, str]:
    """Return `*` for directories by the first digits of what they hold, where all are such."""
    is_fan = len(directories) >= FEWEST_ALIKE and all(map(_FAN.fullmatch, directories))
    return dict.fromkeys(directories, "*") if is_fan else {}


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
