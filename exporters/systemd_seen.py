"""What a unit was seen to do, as the settings of systemd ask for it.

A path that is no absolute one may have been anywhere, so it counts as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import Baseline, Rule
from exporters.seccomp_calls import call_name, is_left_to_the_runtime

__all__ = ["WRITES", "Path", "Seen", "lies_in", "seen_of"]

WRITES = frozenset("wctandlp")
ABSTRACT = r"\x00"


@dataclass(frozen=True, slots=True)
class Path:
    """A path as a rule has it, what was done there, and the id of the rule."""

    path: str
    access: frozenset[str]
    rule: str

    @property
    def is_written(self) -> bool:
        return bool(self.access & WRITES)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the unit itself did, by kind; what was done for it before it ran is not there.

    *calls*, *capabilities* and *operations* map a name to the ids of its rules.
    """

    baseline: Baseline
    archs: frozenset[str]
    calls: dict[str, tuple[str, ...]]
    capabilities: dict[str, tuple[str, ...]]
    operations: dict[str, tuple[str, ...]]
    paths: tuple[Path, ...]

    def under(self, *directories: str, is_written: bool = False) -> Path | None:
        """Return the first path that lies in one of *directories*, or may; None where none does."""
        for path in self.paths:
            if (path.is_written or not is_written) and any(
                lies_in(path.path, directory) for directory in directories
            ):
                return path
        return None


def seen_of(baseline: Baseline) -> Seen:
    """Return what *baseline* says that its unit did itself."""
    rules = baseline.rules
    calls = [(call_name(rule), rule) for rule in _own(rules.syscalls)]
    return Seen(
        baseline=baseline,
        archs=frozenset(rule.value.arch for _, rule in calls),
        calls=_by_name((name, rule) for name, rule in calls if name is not None),
        capabilities=_by_name((rule.value.name, rule) for rule in _own(rules.capabilities)),
        operations=_by_name((rule.value.operation, rule) for rule in _own(rules.operations)),
        paths=tuple(sorted(_paths(baseline), key=lambda path: (path.path, path.rule))),
    )


def _own(rules: Any) -> Iterator[Rule[Any]]:
    return (rule for rule in rules if not is_left_to_the_runtime(rule.evidence.phases))


def _by_name(pairs: Iterator[tuple[str, Rule[Any]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for name, rule in pairs:
        found.setdefault(name, set()).add(rule.id)
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def _paths(baseline: Baseline) -> Iterator[Path]:
    rules = baseline.rules
    for file in _own(rules.files):
        yield Path(file.value.path, frozenset(file.value.access), file.id)
    for program in _own(rules.execs):
        yield Path(program.value.path, frozenset("x"), program.id)
    # A socket is made where it is bound; who connects to one has to see it.
    for socket in (*_own(rules.listens), *_own(rules.peers)):
        address = socket.value.address
        if socket.value.protocol == "unix" and address and not address.startswith(ABSTRACT):
            letters = "n" if socket in rules.listens else "r"
            yield Path(address, frozenset(letters), socket.id)


def lies_in(path: str, directory: str) -> bool:
    """Return whether the pattern *path* may be *directory* or something in it."""
    if not path.startswith("/"):
        return True
    own, above = path.split("/")[1:], directory.split("/")[1:]
    return len(own) >= len(above) and all(
        _matches(pattern, name) for pattern, name in zip(own, above, strict=False)
    )


def _matches(pattern: str, name: str) -> bool:
    if "*" not in pattern:
        return pattern == name
    words = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(words, name) is not None
