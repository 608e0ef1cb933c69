"""From sightings to findings: told once, then counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from detector.processes import ProcessTree
from detector.sighting import Sighting
from ethogram.contracts.baseline import Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import (
    FINDING_SCHEMA,
    SEVERITIES,
    Attack,
    Finding,
    FindingEvidence,
    SensorState,
    Severity,
    WorkloadState,
    fingerprint_of,
)

__all__ = ["Findings", "Whose"]

# A finding that goes on is told again with its new count, this often at most, and at the end.
_UPDATE_NS = 60 * 10**9
_LIMIT = 50_000


@dataclass(frozen=True, slots=True)
class Whose:
    """The instance that a sighting is about, and how well it was seen."""

    subject: Subject
    instance_key: str
    container_id: str | None
    state: SensorState
    workload_state: WorkloadState
    baseline: str | None


@dataclass(slots=True)
class _Told:
    finding: Finding
    told_ns: int
    is_current: bool
    instances: set[str]


class Findings:
    """Tells *on_finding* each finding when it is new to an instance, else counts it.

    A count that has grown is told again, once a minute at most.
    """

    def __init__(self, tree: ProcessTree, on_finding: Callable[[Finding], None]) -> None:
        self._tree = tree
        self._on_finding = on_finding
        self._told: dict[str, _Told] = {}
        self.worst: Severity | None = None
        self.total = 0

    def take(self, sighting: Sighting, whose: Whose, now_ns: int) -> None:
        """Tell of *sighting*, or count it where it was told; *now_ns* is UTC."""
        fingerprint = fingerprint_of(_identity(sighting, whose.subject))
        told = self._told.get(fingerprint)
        if told is None:
            self._tell_new(self._finding(sighting, whose, fingerprint, now_ns), now_ns)
            return
        so_far = {
            "count": told.finding.count + sighting.count,
            "first_seen": told.finding.first_seen,
            "last_seen": max(told.finding.last_seen, _time(sighting.last_ns)),
        }
        if whose.instance_key in told.instances:
            told.finding = told.finding.model_copy(update=so_far)
            told.is_current = False
            return
        there = self._finding(sighting, whose, fingerprint, now_ns)
        told.finding, told.told_ns, told.is_current = there.model_copy(update=so_far), now_ns, True
        told.instances.add(whose.instance_key)
        self._on_finding(told.finding)

    def tell_again(self, now_ns: int, *, is_last: bool = False) -> None:
        """Bring up to date what was counted since it was told."""
        for told in self._stale(now_ns, is_last=is_last):
            told.finding = told.finding.model_copy(update={"time": _time(now_ns)})
            told.told_ns, told.is_current = now_ns, True
            self._on_finding(told.finding)

    def _stale(self, now_ns: int, *, is_last: bool) -> Iterator[_Told]:
        for told in self._told.values():
            if not told.is_current and (is_last or now_ns - told.told_ns >= _UPDATE_NS):
                yield told

    def _tell_new(self, finding: Finding, now_ns: int) -> None:
        if len(self._told) >= _LIMIT:
            self._forget()
        self._told[finding.fingerprint] = _Told(
            finding, now_ns, is_current=True, instances={finding.instance_key}
        )
        self.total += 1
        if self.worst is None or _rank(finding.severity) > _rank(self.worst):
            self.worst = finding.severity
        self._on_finding(finding)

    def _forget(self) -> None:
        """Make room: those that were last seen first; they would be told anew."""
        by_age = sorted(self._told.values(), key=lambda told: told.finding.last_seen)
        for told in by_age[: _LIMIT // 10]:
            if not told.is_current:
                self._on_finding(told.finding)
            del self._told[told.finding.fingerprint]

    def _finding(
        self, sighting: Sighting, whose: Whose, fingerprint: str, now_ns: int
    ) -> Finding:  # fmt: skip
        process = self._tree.get(sighting.exec_id) if sighting.exec_id else None
        process = process or self._tree.doer(
            sighting.instance, sighting.exe, sighting.first_ns, sighting.last_ns
        )
        return Finding(
            schema=FINDING_SCHEMA,
            time=_time(now_ns),
            fingerprint=fingerprint,
            layer=sighting.layer,
            rule=sighting.rule,
            title=sighting.title,
            reason=sighting.reason,
            severity=sighting.severity,
            attack=tuple(
                Attack(technique=one.technique, version=one.version) for one in sighting.attack
            ),
            workload=whose.subject,
            instance_key=whose.instance_key,
            container_id=whose.container_id,
            process=None if process is None else self._tree.described(process),
            evidence=FindingEvidence(
                dimension=sighting.dimension,
                observed=sighting.observed,
                expected=sighting.expected,
            ),
            state=whose.state,
            workload_state=whose.workload_state,
            phase=sighting.phase,
            baseline=whose.baseline,
            first_seen=_time(sighting.first_ns),
            last_seen=_time(sighting.last_ns),
            count=sighting.count,
        )


def _identity(sighting: Sighting, subject: Subject) -> Iterator[str | None]:
    """Yield what makes two sightings the same finding: in any replica, at any time."""
    yield from (subject.cluster, subject.namespace, subject.kind, subject.name, subject.container)
    yield from (sighting.layer, sighting.rule, sighting.dimension, sighting.observed)
    yield None if sighting.exe is None else escape(sighting.exe)


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)


def _time(utc_ns: int) -> str:
    seconds, nanoseconds = divmod(utc_ns, 10**9)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{nanoseconds // 1000:06d}Z"
