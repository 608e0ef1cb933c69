"""What a case came to, from what was told: pure, so that it is tested without a container."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ethogram.contracts.finding import SEVERITIES, Finding
from tests.cases.catalogue import Case
from tests.cases.waiting import Mark

__all__ = [
    "Outcome", "Result", "Technique", "Told", "Totals", "Verdict", "Whereabouts", "alerts_of",
    "percentile", "score", "totals",
]  # fmt: skip

Verdict = Literal["found", "partial", "missed", "silent", "false", "not run"]
Technique = Literal["right", "parent", "wrong", "-"]

# What MITRE renumbered between version 18, as in the cases, and version 19.
ALIASES = {"T1070.002": "T1685.006", "T1562.001": "T1685"}


@dataclass(frozen=True, slots=True)
class Told:
    """A finding, and when its line arrived, in nanoseconds of the wall clock."""

    arrived_ns: int
    finding: Finding


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The workload that a case ran in; a service of the host has no namespace nor container."""

    kind: str
    name: str
    namespace: str | None
    container: str | None
    container_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case that was run; *problem* says why it did not do what it is there for."""

    case: Case
    where: Whereabouts
    mark: Mark | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What was told of one case.

    *technique* and *is_right_workload* are those of the finding that is nearest to what was
    expected. *latency_ms* is from the start of the script to the arrival of that finding.
    """

    case: Case
    verdict: Verdict
    rules: tuple[str, ...]
    severity: str | None
    techniques: tuple[str, ...]
    technique: Technique
    is_right_workload: bool | None
    latency_ms: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """How many cases of each verdict, and how soon what was found was told."""

    count: int
    verdicts: dict[Verdict, int]
    median_ms: float | None
    p99_ms: float | None


def score(outcomes: Sequence[Outcome], told: Sequence[Told]) -> list[Result]:
    """Return what each of *outcomes* came to."""
    return [_score(outcome, _belongs_to(outcome, outcomes), told) for outcome in outcomes]


def _belongs_to(outcome: Outcome, outcomes: Sequence[Outcome]) -> Callable[[Told], bool]:
    """Return what says whether a finding is this case's.

    A container has one case. A service of the host has several, one after another.
    """
    mark, where = outcome.mark, outcome.where
    if mark is None:
        return lambda _: False
    later = [
        other.mark.started_ns for other in outcomes
        if other.where == where and other.mark and other.mark.started_ns > mark.started_ns
    ]  # fmt: skip
    until = min(later, default=math.inf)

    def belongs(each: Told) -> bool:
        if not mark.started_ns <= each.arrived_ns < until:
            return False
        if where.container_id is None:
            return each.finding.container_id is None and each.finding.workload.kind == where.kind
        return where.container_id in (
            each.finding.container_id,
            each.finding.instance_key.rpartition("/")[2],
        )

    return belongs


def _score(outcome: Outcome, belongs: Callable[[Told], bool], told: Iterable[Told]) -> Result:
    case, mark = outcome.case, outcome.mark
    alerts = [each for each in alerts_of(told) if belongs(each)]
    if mark is None or outcome.problem:
        return Result(case, "not run", (), None, (), "-", None, None, outcome.problem)
    if not alerts:
        verdict: Verdict = "missed" if case.expect == "finding" else "silent"
        return Result(case, verdict, (), None, (), "-", None, None)
    best = min(alerts, key=lambda each: _distance(each, outcome))
    technique = _technique(case, best.finding)
    is_right = _is_right_workload(best.finding, outcome.where)
    if case.expect != "finding":
        verdict = "false"
    elif is_right and technique in ("right", "-"):
        verdict = "found"
    else:
        verdict = "partial"
    return Result(
        case=case,
        verdict=verdict,
        rules=tuple(sorted({each.finding.rule for each in alerts})),
        severity=max((each.finding.severity for each in alerts), key=SEVERITIES.index),
        techniques=tuple(
            sorted({one.technique for each in alerts for one in each.finding.attack})
        ),
        technique=technique,
        is_right_workload=is_right,
        latency_ms=(best.arrived_ns - mark.started_ns) / 1e6,
    )  # fmt: skip


def alerts_of(told: Iterable[Told]) -> list[Told]:
    """Return what is above `info`: the rest is for whoever looks, and wakes nobody."""
    return [each for each in told if each.finding.severity != "info"]


def _distance(each: Told, outcome: Outcome) -> tuple[bool, int, int]:
    technique = _technique(outcome.case, each.finding)
    return (
        not _is_right_workload(each.finding, outcome.where),
        ("right", "-", "parent", "wrong").index(technique),
        each.arrived_ns,
    )


def _technique(case: Case, finding: Finding) -> Technique:
    """Return how near the finding's techniques are: a sub-technique is right where its parent is.

    The parent alone, where a sub-technique was expected, says half of it.
    """
    if not case.techniques:
        return "-"
    names = {one.technique for one in finding.attack}
    wanted = {name for each in case.techniques for name in (each, ALIASES.get(each, each))}
    if names & wanted or {name.partition(".")[0] for name in names} & wanted:
        return "right"
    if names & {name.partition(".")[0] for name in wanted}:
        return "parent"
    return "wrong"


def _is_right_workload(finding: Finding, where: Whereabouts) -> bool:
    subject = finding.workload
    found = (subject.kind, subject.name, subject.namespace, subject.container)
    return found == (where.kind, where.name, where.namespace, where.container)


def totals(results: Sequence[Result]) -> Totals:
    """Return the totals of *results*; latencies are of cases that were found."""
    latencies = sorted(
        result.latency_ms for result in results
        if result.latency_ms is not None and result.verdict == "found"
    )  # fmt: skip
    verdicts: dict[Verdict, int] = {}
    for result in results:
        verdicts[result.verdict] = verdicts.get(result.verdict, 0) + 1
    return Totals(len(results), verdicts, percentile(latencies, 50), percentile(latencies, 99))


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the smallest of *ordered* that *percent* of them do not exceed; null of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
