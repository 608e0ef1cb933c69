"""Deviations become sightings: graded, with what the baseline has instead, small change folded.

A new program opens its libraries, its configuration and its directories, and makes calls of its
own. Each of these is a deviation and none is grave: together they are one finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from detector.deviations import Deviation
from detector.grading import Grade, grade
from detector.library import Known
from detector.processes import ProcessTree
from detector.sighting import Sighting
from detector.words import in_words
from ethogram.contracts.baseline import ExecValue
from ethogram.contracts.escape import unescape
from ethogram.contracts.finding import WorkloadState
from ethogram.indicators.compliance import BY_DIMENSION

__all__ = ["sightings"]

_SMALL = ("info", "low")
_FOLDED = ("files", "syscalls", "peers")  # what a program does by the dozen
_APART = 3  # so few are each told
_NAMED = 8


def sightings(
    deviations: Iterable[Deviation],
    *,
    instance: int,
    known: Known | None,
    state: WorkloadState,
    tree: ProcessTree,
) -> Iterator[Sighting]:
    """Yield *deviations* of one instance and dimension, seen in one window, as sightings."""
    apart: list[tuple[Deviation, Grade]] = []
    small: dict[bytes | None, list[tuple[Deviation, Grade]]] = defaultdict(list)
    for one in deviations:
        grading = grade(one.value, workload_state=state)
        decision = known.decisions.about(one.dimension, one.value) if known else None
        if decision:
            grading = replace(grading, reason=f"{grading.reason}; {decision}")
        is_small = not decision and grading.severity in _SMALL and one.dimension in _FOLDED
        (small[one.exe] if is_small else apart).append((one, grading))
    for group in small.values():
        if len(group) > _APART:
            yield _folded(group, instance)
        else:
            apart += group
    for one, grading in apart:
        yield replace(
            _sighting(one, grading, instance),
            known=known,
            value=one.value,
            exec_id=_executed(one, instance, tree),
        )


def _sighting(one: Deviation, grading: Grade, instance: int) -> Sighting:
    return Sighting(
        layer="deviation",
        rule=f"deviation-{one.dimension}",
        title=grading.title,
        reason=grading.reason,
        severity=grading.severity,
        attack=grading.attack,
        instance=instance,
        phase=one.phase,
        dimension=one.dimension,
        observed=in_words(one.value),
        exe=one.exe,
        exec_id=None,
        first_ns=one.first_ns,
        last_ns=one.last_ns,
        count=one.count,
        compliance=BY_DIMENSION[one.dimension],
    )


def _executed(one: Deviation, instance: int, tree: ProcessTree) -> str | None:
    """Return the process that ran what was executed: `exe` is the one that executed it."""
    if not isinstance(one.value, ExecValue):
        return None
    process = tree.doer(instance, unescape(one.value.path), one.first_ns, one.last_ns)
    return process.exec_id if process else None


def _folded(group: Sequence[tuple[Deviation, Grade]], instance: int) -> Sighting:
    """Return *group*, done by one executable, as one sighting with the gravest grade."""
    ordered = sorted(group, key=lambda pair: (-_SMALL.index(pair[1].severity), pair[0].first_ns))
    names = list(dict.fromkeys(in_words(one.value) for one, _ in ordered))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return replace(
        _spanning(ordered, instance),
        observed=f"{len(names)} at once: {', '.join(names[:_NAMED])}{more}",
        count=sum(one.count for one, _ in group),
        values=tuple(dict.fromkeys(one.value for one, _ in ordered)),
        identity="many at once",
    )


def _spanning(group: Sequence[tuple[Deviation, Grade]], instance: int) -> Sighting:
    """Return the first of *group* for the time of all."""
    return replace(
        _sighting(*group[0], instance),
        first_ns=min(one.first_ns for one, _ in group),
        last_ns=max(one.last_ns for one, _ in group),
    )
