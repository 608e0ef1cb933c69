"""Which baseline applies to which workload.

A baseline applies where kind and name are the workload's, and so are container, namespace and
image digest as far as it says them. Where several apply, the most specific one decides. By rank:

1. the namespace: named > a pattern (the more letters, the more specific) > not said, but learnt in
   the workload's own > not said
2. the image digests: listed > not said
3. the container: named > not said

Two that apply to one workload with the same rank would have it depend on the order of files, so
that is an error when they are loaded. One case is none: two baselines that say no namespace and
were learnt in different ones. Each applies at home; elsewhere neither does, and `rivals` says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from detector.decisions import Decisions
from ethogram.contracts.baseline import Baseline, Subject, load_baselines
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.environment import Environment, apply_environment
from ethogram.contracts.escape import escape, escape_pattern
from ethogram.contracts.matching import Allowlist, pattern_to_regex
from ethogram.contracts.overlays import in_force
from ethogram.errors import BaselineError

__all__ = ["Known", "Library", "subject_of"]

# Namespace, letters of its pattern, digest, container: higher is more specific.
_Rank: TypeAlias = "tuple[int, int, int, int]"
_NAMED, _PATTERN, _HOME, _ANYWHERE = 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class Known:
    """One baseline, after the map was applied, ready to be asked.

    The allowlist is the workload's own: what only its container runtime did, before the workload
    ran, is allowed to nobody who is judged.
    """

    file: BaselineFile
    baseline: Baseline
    allowlist: Allowlist
    decisions: Decisions

    @classmethod
    def of(cls, file: BaselineFile, baseline: Baseline) -> Known:
        """Return *baseline*, which was read from *file*, ready to be asked."""
        own = baseline.model_copy(update={"rules": baseline.rules.of_workload()})
        allowlist = Allowlist(own)
        return cls(file, baseline, allowlist, Decisions(baseline))

    def on(self, day: date) -> Known:
        """Return what is known on *day*: without what overlays allowed that are over."""
        baseline = in_force(self.baseline, day)
        return self if baseline is self.baseline else Known.of(self.file, baseline)


class Library:
    """Baselines that are judged by; `load` refuses those that contradict one another."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._known = tuple(known)
        self._by_name: dict[tuple[str, str], list[Known]] = defaultdict(list)
        for one in self._known:
            self._by_name[one.baseline.match.kind, one.baseline.match.name].append(one)
        for group in self._by_name.values():
            for first, second in combinations(group, 2):
                _refuse_overlap(first, second)

    @classmethod
    def load(cls, path: Path, environment: Environment | None = None) -> Library:
        """Return the baselines in file or directory *path*, carried over to *environment*.

        `BaselineError` where there is none, one is malformed, or two overlap; it names the file.
        """
        path = Path(path)
        if (path / "manifest.json").exists():
            raise BaselineError(
                f"`{path}` is a recording, not baselines",
                hint=f"`ethogram learn {path} -o baselines` makes them of it",
            )
        library = cls(Known.of(file, one) for file, one in load_baselines(path))
        return library if environment is None else library.carried(environment)

    def carried(self, environment: Environment) -> Library:
        """Return these baselines as they read in the other *environment*.

        `BaselineError` where that makes two of them overlap.
        """
        after = (
            (known.file, apply_environment(known.baseline, environment)) for known in self._known
        )
        return Library(Known.of(file, one) for file, one in after)

    def on(self, day: date) -> Library:
        """Return the library as it is on *day*: this one where no overlay has ended."""
        known = tuple(one.on(day) for one in self._known)
        is_same = all(new is old for new, old in zip(known, self._known, strict=True))
        return self if is_same else Library(known)

    @property
    def known(self) -> tuple[Known, ...]:
        """Every baseline, by the name of its file."""
        return self._known

    def of(self, workload: Mapping[str, Any]) -> Known | None:
        """Return the baseline of a row of table `workloads`, or None where no single one fits."""
        best = self._best(workload)
        return best[0] if len(best) == 1 else None

    def rivals(self, workload: Mapping[str, Any]) -> tuple[Known, ...]:
        """Return the baselines that fit a row of `workloads` equally well, so that none applies."""
        best = self._best(workload)
        return best if len(best) > 1 else ()

    def _best(self, workload: Mapping[str, Any]) -> tuple[Known, ...]:
        named = self._by_name.get((escape(workload["kind"]), escape(workload["name"])), ())
        ranks = [(rank, one) for one in named if (rank := _rank(one.baseline, workload))]
        highest = max((rank for rank, _ in ranks), default=None)
        return tuple(one for rank, one in ranks if rank == highest)


def subject_of(workload: Mapping[str, Any]) -> Subject:
    """Return a row of table `workloads` as baselines and findings name a workload."""
    names = ("cluster", "namespace", "container", "image", "image_digest")
    return Subject(
        kind=escape(workload["kind"]),
        name=escape(workload["name"]),
        container_kind=workload.get("container_kind"),
        selector={escape(k): escape(v) for k, v in dict(workload.get("selector") or {}).items()},
        **{name: escape(workload[name]) for name in names if workload.get(name)},
    )


def _rank(baseline: Baseline, workload: Mapping[str, Any]) -> _Rank | None:
    """Return how specifically *baseline* applies to *workload*; None where it does not.

    The names in a row are on one line already; a baseline escapes them once more.
    """
    match = baseline.match
    container, digest = _text(workload, "container"), _text(workload, "image_digest")
    if match.container is not None and match.container != container:
        return None
    if match.image_digest is not None and digest not in match.image_digest:
        return None
    level = _namespace_level(baseline, workload)
    return None if level is None else _rank_at(baseline, level)


def _namespace_level(baseline: Baseline, workload: Mapping[str, Any]) -> int | None:
    pattern, namespace = baseline.match.namespace, workload.get("namespace")
    if pattern is None:
        is_home = baseline.subject.namespace == _text(workload, "namespace")
        return _HOME if is_home else _ANYWHERE
    if not namespace or not pattern_to_regex(pattern).fullmatch(escape_pattern(namespace)):
        return None
    return _PATTERN if "*" in pattern else _NAMED


def _rank_at(baseline: Baseline, level: int) -> _Rank:
    match = baseline.match
    letters = len(match.namespace.replace("*", "")) if level == _PATTERN and match.namespace else 0
    return level, letters, match.image_digest is not None, match.container is not None


def _text(workload: Mapping[str, Any], column: str) -> str | None:
    value = workload.get(column)
    return escape(value) if value else None


def _refuse_overlap(first: Known, second: Known) -> None:
    """Raise `BaselineError` where some workload could be either's with the same rank."""
    one, other = first.baseline, second.baseline
    if one.match.namespace is None and other.match.namespace is None:
        meet = one.subject.namespace == other.subject.namespace
    else:
        meet = None not in (one.match.namespace, other.match.namespace) and _patterns_meet(
            str(one.match.namespace), str(other.match.namespace)
        )
    if not meet or _own_rank(one) != _own_rank(other) or not _others_meet(one, other):
        return
    raise BaselineError(
        f"`{first.file}` and `{second.file}` apply to the same {one.match.kind} "
        f"`{one.match.name}`, and neither more specifically",
        hint="remove one of them, or say in `match.namespace` of each where it applies",
    )


def _own_rank(baseline: Baseline) -> _Rank:
    """Return the rank of *baseline* where it applies."""
    pattern = baseline.match.namespace
    return _rank_at(baseline, _HOME if pattern is None else _PATTERN if "*" in pattern else _NAMED)


def _others_meet(one: Baseline, other: Baseline) -> bool:
    """Return whether container and digest of one workload could fit both."""
    containers = {one.match.container, other.match.container} - {None}
    if len(containers) > 1:
        return False
    listed = one.match.image_digest, other.match.image_digest
    return None in listed or bool(set(listed[0] or ()) & set(listed[1] or ()))


def _patterns_meet(one: str, other: str) -> bool:
    """Return whether some text matches both patterns, in which `*` stands for any characters."""
    reached = {(0, 0)}
    seen: set[tuple[int, int]] = set()
    while reached:
        at = reached.pop()
        if at == (len(one), len(other)):
            return True
        if at not in seen:
            seen.add(at)
            reached.update(_steps(one, other, *at))
    return False


def _steps(one: str, other: str, i: int, j: int) -> Iterator[tuple[int, int]]:
    """Yield where both patterns may stand after one more character, or an empty `*`."""
    a, b = one[i : i + 1], other[j : j + 1]
    if a == "*":
        yield i + 1, j
        if b and b != "*":
            yield i, j + 1
    if b == "*":
        yield i, j + 1
        if a and a != "*":
            yield i + 1, j
    if a and a == b:
        yield i + 1, j + 1
