"""Widens what was seen to what it stands for.

A widening never allows less than what was observed, and the rule says what it was widened from.
Executables, files of an image or a package, and what lies among code, configuration or secrets stay
as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ethogram.contracts.baseline import AnyValue, Dimension, ExecValue, FileValue
from learner.name_forms import (
    kernel_chosen,
    of_generation,
    of_relation,
    temporary,
    with_dates,
    with_ids,
)
from learner.places import holds_ids, is_kept, is_log, is_state
from learner.variable_names import variable_names

__all__ = ["Origin", "widened"]

# Whose a file is: the image's, the container's own, or nobody knows, as on a volume or a host.
Origin = Literal["image", "own"]


def widened(
    seen: Sequence[tuple[Dimension, AnyValue]], origins: Sequence[Origin | None] = ()
) -> Iterable[AnyValue]:
    """Return for each value that one workload showed what stands for it: itself, or a wider one.

    *origins* says for each of *seen* where a file comes from.
    """
    patterns = _patterns(_files(seen, origins))
    return [
        _widest(value, patterns) if isinstance(value, FileValue) else value for _, value in seen
    ]


def _widest(value: FileValue, patterns: dict[str, str]) -> FileValue:
    path = patterns.get(value.path, value.path)
    return value if path == value.path else value.model_copy(update={"path": path})


@dataclass(slots=True)
class _File:
    """What is known of one path, of all its rows together."""

    origin: Origin | None = None
    is_created: bool = False
    is_executed: bool = False


def _files(
    seen: Sequence[tuple[Dimension, AnyValue]], origins: Sequence[Origin | None]
) -> dict[str, _File]:
    files: dict[str, _File] = {}
    executed: set[str] = set()
    for number, (_, value) in enumerate(seen):
        if isinstance(value, ExecValue):
            executed.add(value.path)
        if not isinstance(value, FileValue):
            continue
        file = files.setdefault(value.path, _File())
        origin = origins[number] if origins else None
        # Who ever saw it as the image's knows more than who saw the copy that was written to.
        file.origin = "image" if "image" in (origin, file.origin) else origin or file.origin
        file.is_created |= "c" in value.access or "n" in value.access
        file.is_executed |= "x" in value.access
    for path in executed & files.keys():
        files[path].is_executed = True
    return files


def _patterns(files: dict[str, _File]) -> dict[str, str]:
    """Return the pattern of each of *files* that has one."""
    found: dict[str, str] = {}
    free: dict[str, str] = {}
    created: dict[str, None] = {}
    for path, file in files.items():
        pattern, is_free = _formed(path, file)
        found[path] = pattern
        if is_free:
            free[path] = pattern
            if file.is_created:
                created[pattern] = None
    grouped = variable_names(dict.fromkeys(free.values()), created=created)
    return found | {path: grouped.get(pattern, pattern) for path, pattern in free.items()}


def _formed(path: str, file: _File) -> tuple[str, bool]:
    """Return *path* without what says by its form that it varies, and whether more may be found."""
    if not path.startswith("/") or "*" in path:
        return path, False
    chosen = kernel_chosen(path)
    if chosen != path:
        return chosen, False
    if file.origin == "image" or file.is_executed:
        return path, False
    directory, _, leaf = path.rpartition("/")
    place = _place(directory, is_created=file.is_created, is_own=file.origin == "own")
    if not place.is_free:
        return f"{place.pattern}/{leaf}", not place.is_kept
    leaf = with_ids(leaf, may_be_all=place.holds_ids)
    if place.is_dated:
        leaf = with_dates(leaf)
    if file.is_created:
        leaf = of_relation(directory, temporary(leaf))
    return f"{place.pattern}/{leaf}", True


@dataclass(frozen=True, slots=True)
class _Place:
    """What is made of a directory, and of the names in it."""

    pattern: str
    is_kept: bool = False
    is_free: bool = False
    is_dated: bool = False
    holds_ids: bool = False


@lru_cache(maxsize=65536)
def _place(directory: str, *, is_created: bool, is_own: bool) -> _Place:
    names = directory.split("/")[1:]
    is_free = is_created or is_own or is_state(names)
    if is_kept(names) or not is_free:
        return _Place("/".join(["", *map(of_generation, names)]), is_kept=is_kept(names))
    is_dated = is_created or is_log(names)
    formed = [with_ids(of_generation(name), may_be_all=True) for name in names]
    if is_dated:
        formed = [with_dates(name) for name in formed]
    if is_created:
        formed = [temporary(name) for name in formed]
    return _Place(
        "/".join(["", *formed]), is_free=True, is_dated=is_dated, holds_ids=holds_ids(names)
    )
