"""Deviations become sightings: graded, with what the baseline has instead, small change folded.

A new program opens its libraries, its configuration and its directories, and makes calls of its
own. Each of these is a deviation and none is grave: together they are one finding. So is what is
not grave while a container starts, and in a session that entered it.
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

__all__ = ["graded", "sightings"]

_SMALL = ("info", "low")
_FOLDED = ("files", "syscalls", "peers")  # what a program does by the dozen
_APART = 3  # so few are each told
_NAMED = 8
_GROUPS = {
    "files": "files", "syscalls": "system calls", "peers": "peers", "execs": "executables",
    "listens": "listeners", "dns": "names asked for", "capabilities": "capabilities",
    "operations": "privileged operations",
}  # fmt: skip
_WHEN = {"startup": ", while it starts", "exec": ", in a session that entered"}
_TECHNIQUES = 16


def graded(
    deviations: Iterable[Deviation], state: WorkloadState, grouped: frozenset[str]
) -> Iterator[tuple[Deviation, Grade]]:
    """Yield *deviations* of a workload in *state* with their grades.

    Those of the phases *grouped* are graded down.
    """
    for one in deviations:
        phase = one.phase if one.phase in grouped else "steady"
        yield one, grade(one.value, workload_state=state, phase=phase)


def sightings(
    deviations: Iterable[tuple[Deviation, Grade]],
    *,
    instance: int,
    known: Known | None,
    grouped: frozenset[str],
    tree: ProcessTree,
) -> Iterator[Sighting]:
    """Yield graded *deviations* of one instance and dimension, seen in one window, as sightings."""
    apart: list[tuple[Deviation, Grade]] = []
    small: dict[tuple[str, bytes | None], list[tuple[Deviation, Grade]]] = defaultdict(list)
    for one, before in deviations:
        decision = known.decisions.about(one.dimension, one.value) if known else None
        grading = replace(before, reason=f"{before.reason}; {decision}") if decision else before
        label = one.phase if one.phase in grouped else ""
        is_small = not decision and grading.severity in _SMALL
        if is_small and (label or one.dimension in _FOLDED):
            # What starts a container, or looks around in it, is many programs.
            small[label, None if label else one.exe].append((one, grading))
        else:
            apart.append((one, grading))
    for (label, _), group in small.items():
        if len(group) > _APART:
            yield _folded(group, instance, label, tree)
        else:
            apart += group
    for one, grading in apart:
        yield replace(
            _sighting(one, grading, instance),
            known=known,
            value=one.value,
            exec_id=one.exec_id or _executed(one, instance, tree),
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
        rows=one.rows,
        is_timed=one.rows is None,
    )


def _executed(one: Deviation, instance: int, tree: ProcessTree) -> str | None:
    """Return the process that ran what was executed: `exe` is the one that executed it."""
    if not isinstance(one.value, ExecValue):
        return None
    process = tree.doer(instance, unescape(one.value.path), one.first_ns, one.last_ns)
    return process.exec_id if process else None


def _folded(
    group: Sequence[tuple[Deviation, Grade]], instance: int, label: str, tree: ProcessTree
) -> Sighting:
    """Return *group* as one sighting with the gravest grade and all techniques.

    One executable did it, or with a *label* several; the process is that of the gravest then, as it
    is of calls, which several may have made.
    """
    ordered = sorted(group, key=lambda pair: (-_SMALL.index(pair[1].severity), pair[0].first_ns))
    first = ordered[0][0]
    names = list(dict.fromkeys(in_words(one.value) for one, _ in ordered))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    techniques = dict.fromkeys(each for _, grading in ordered for each in grading.attack)
    reasons = dict.fromkeys(grading.reason for _, grading in ordered)
    made = replace(
        _spanning(ordered, instance),
        title=f"Several {_GROUPS[first.dimension]} outside the baseline{_WHEN.get(label, '')}",
        reason=next(iter(reasons)) if len(reasons) == 1 else _reason(ordered[0]),
        observed=f"{len(names)} at once: {', '.join(names[:_NAMED])}{more}",
        count=sum(one.count for one, _ in group),
        attack=tuple(techniques)[:_TECHNIQUES],
        values=tuple(dict.fromkeys(one.value for one, _ in ordered)),
        identity=f"many at once {label}".rstrip(),
        parts=tuple(dict.fromkeys((in_words(one.value), one.exe) for one, _ in ordered)),
    )
    exec_id = next((one.exec_id for one, _ in ordered if one.exec_id), None)
    if not label:
        return replace(made, exec_id=exec_id)
    exec_id = exec_id or _executed(first, instance, tree)
    if exec_id is None:
        process = tree.doer(instance, first.exe, first.first_ns, first.last_ns)
        exec_id = process.exec_id if process else None
    return replace(made, exe=None, exec_id=exec_id)


def _reason(gravest: tuple[Deviation, Grade]) -> str:
    """Return why a group is told that is told for several reasons."""
    one, grading = gravest
    return f"the baseline has none of these; the gravest, {in_words(one.value)}: {grading.reason}"


def _spanning(group: Sequence[tuple[Deviation, Grade]], instance: int) -> Sighting:
    """Return the first of *group* for the time of all."""
    return replace(
        _sighting(*group[0], instance),
        first_ns=min(one.first_ns for one, _ in group),
        last_ns=max(one.last_ns for one, _ in group),
    )
