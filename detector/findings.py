"""From sightings to findings: told once, then counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

from detector.crowds import BEYOND, COOLED, beyond, together
from detector.details import Detail, Details
from detector.incidents import Incidents
from detector.moments import moment, moment_ns
from detector.processes import ProcessTree
from detector.room import Room
from detector.sensor.kept_findings import KeptFinding
from detector.sighting import Sighting
from detector.suppressions import Answer, Suppressions
from detector.tally import Tally
from detector.words import nearest
from ethogram.contracts.baseline import AnyValue, Dimension, Subject
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import (
    FINDING_SCHEMA,
    MOST_VALUES,
    SEVERITIES,
    Attack,
    Compliance,
    Finding,
    FindingEvidence,
    FindingGroup,
    SensorState,
    Severity,
    WorkloadState,
    fingerprint_of,
)
from ethogram.contracts.finding_parts import FindingExecutable, FindingInstance, FindingProcess
from ethogram.contracts.incident import Incident
from ethogram.indicators.compliance import Tags

__all__ = ["Findings", "Whose"]

# A finding that goes on is told again with its new count, this often at most, and at the end.
_UPDATE_NS = 60 * 10**9
_LIMIT = 50_000
_INSTANCES = 1000
# Of one rule, program and kind of harm so many are told at once, and one more every five minutes.
_AT_ONCE, _COOLDOWN_NS = 10, 300 * 10**9
_LISTED = 1_000  # values of what is told together


@dataclass(frozen=True, slots=True)
class Whose:
    """The instance that a sighting is about, and how well it was seen."""

    subject: Subject
    instance_key: str
    container_id: str | None
    state: SensorState
    workload_state: WorkloadState
    baseline: str | None
    instance: FindingInstance | None = None


@dataclass(slots=True)
class _Told:
    """A finding as it was told last, and what came since; *told_ns* is 0 where it never was."""

    finding: Finding
    told_ns: int
    is_current: bool
    instances: set[str]
    count: int
    last_ns: int
    observed: str
    values: dict[AnyValue, None]
    groups: tuple[FindingGroup, ...] | None = None

    def so_far(self) -> Finding:
        """Return the finding with what came since."""
        before = self.finding.evidence
        evidence = _evidence(
            before.dimension, self.observed, tuple(self.values), before.expected, self.groups
        ).model_copy(update={"p_value": before.p_value})
        update = {"count": self.count, "last_seen": moment(self.last_ns), "evidence": evidence}
        return self.finding.model_copy(update=update)


class Findings:
    """Tells *on_finding* each finding when it is new to an instance, else counts it.

    A count that has grown is told again, once a minute at most. Of one rule, workload and severity
    there is `Room` for so many; what is beyond it is one finding that counts it.
    """

    def __init__(
        self,
        tree: ProcessTree,
        on_finding: Callable[[Finding], None],
        tally: Tally | None = None,
        details: Details | None = None,
        *,
        suppressions: Suppressions | None = None,
        on_incident: Callable[[Incident], None] = lambda _: None,
    ) -> None:
        self._tree = tree
        self._details = details or Details()
        self._suppressions = suppressions or Suppressions()
        self._tally = tally or Tally()
        self.incidents = Incidents(self._tally, on_incident)
        self._on_finding = on_finding
        self._told: dict[str, _Told] = {}
        self._kept: dict[str, KeptFinding] = {}
        # Of what was told together: which finding tells of it.
        self._part_of: dict[str, str] = {}
        self._room = Room()
        self._warm = Room(size=_AT_ONCE, each_ns=_COOLDOWN_NS)
        self.worst: Severity | None = None
        self.total = 0

    def recall(self, kept: Mapping[str, KeptFinding]) -> None:
        """Count on what an earlier watch told, by fingerprint, instead of telling it again."""
        self._kept = dict(kept)

    def _told_of(self, fingerprint: str) -> _Told | None:
        """Return what was told of *fingerprint*, by this watch or by one before."""
        kept = self._kept.pop(fingerprint, None)
        finding = kept.finding() if kept else None
        if kept and finding and fingerprint not in self._told:
            self._told[fingerprint] = _Told(
                finding,
                told_ns=moment_ns(finding.time),
                is_current=True,
                instances=kept.instances,
                count=finding.count,
                last_ns=moment_ns(finding.last_seen),
                observed=finding.evidence.observed,
                values=dict.fromkeys(finding.evidence.values or ()),
                groups=finding.evidence.groups,
            )
        return self._told.get(fingerprint)

    def was_told(self, sighting: Sighting, whose: Whose) -> bool:
        """Return whether this watch told of *sighting*, or one before it."""
        return self._told_of(fingerprint_of(_identity(sighting, whose.subject))) is not None

    def take(self, sighting: Sighting, whose: Whose, now_ns: int) -> bool:
        """Tell of *sighting*, or count it where it was told; *now_ns* is UTC.

        Return False where it is suppressed.
        """
        fingerprint = fingerprint_of(_identity(sighting, whose.subject))
        if self._suppressions.is_any and self._is_suppressed(
            sighting, whose, fingerprint, now_ns
        ):  # fmt: skip
            return False
        told = self._told_of(fingerprint)
        if told is None and (whole := self._told_with_others(fingerprint, sighting, whose)):
            self._go_on(whole, sighting)
            return True
        self._note_parts(fingerprint, sighting, whose)
        if told is None and not self._is_cool(sighting, whose, now_ns):
            sighting = together(sighting)
            fingerprint = fingerprint_of(_identity(sighting, whose.subject))
            told = self._told_of(fingerprint)
        if told is None and not self._has_room(sighting, whose, now_ns):
            sighting = beyond(sighting)
            fingerprint = fingerprint_of(_identity(sighting, whose.subject))
            told = self._told_of(fingerprint)
        if told is None:
            finding = self._finding(sighting, whose, fingerprint, now_ns)
            if sighting.identity != BEYOND:
                finding = self._in_incident(finding, sighting)
            self._tell_new(finding, sighting, now_ns)
        else:
            self._count(told, sighting, whose, now_ns)
        return True

    def _count(self, told: _Told, sighting: Sighting, whose: Whose, now_ns: int) -> None:
        """Count *sighting*, which was *told*; tell of it where it is graver or of another."""
        fingerprint = told.finding.fingerprint
        self._is_worst(told.finding.severity)
        self._go_on(told, sighting)
        told.observed, told.groups = sighting.observed, _groups(sighting)
        if sighting.identity != COOLED and not sighting.parts:
            told.values.clear()
        for value in _values(sighting):
            if len(told.values) >= _LISTED:
                break
            told.values[value] = None
        is_graver = _rank(sighting.severity) > _rank(told.finding.severity)
        is_new = whose.instance_key not in told.instances
        if is_graver or (is_new and self._has_room(sighting, whose, now_ns)):
            finding = self._finding(sighting, whose, fingerprint, now_ns)
            finding = self._in_incident(finding, sighting)
            self._tell_more(told, finding, now_ns)
            if is_graver:
                self._tally.count(told.finding)
            self._timed(sighting)

    def _go_on(self, told: _Told, sighting: Sighting) -> None:
        """Count *sighting* as more of what was *told*."""
        told.count += sighting.count
        told.last_ns = max(told.last_ns, sighting.last_ns)
        told.is_current = False
        self.incidents.goes_on(told.finding, sighting.last_ns)

    def _told_with_others(
        self, fingerprint: str, sighting: Sighting, whose: Whose
    ) -> _Told | None:  # fmt: skip
        """Return what told of *sighting* among others, of the same instance and as grave."""
        whole = self._told.get(self._part_of.get(fingerprint, ""))
        if whole is None or whose.instance_key not in whole.instances:
            return None
        is_graver = _rank(sighting.severity) > _rank(whole.finding.severity)
        return None if is_graver else whole

    def _note_parts(self, fingerprint: str, sighting: Sighting, whose: Whose) -> None:
        if len(self._part_of) >= _LIMIT:
            self._part_of.clear()
        for observed, exe in sighting.parts:
            alone = replace(sighting, observed=observed, exe=exe, identity=None)
            self._part_of[fingerprint_of(_identity(alone, whose.subject))] = fingerprint

    def _is_suppressed(
        self, sighting: Sighting, whose: Whose, fingerprint: str, now_ns: int
    ) -> bool:  # fmt: skip
        """Return whether somebody said not to tell of *sighting*, and count it then."""
        known = self._suppressions
        found: Answer = False
        if sighting.identity is None:  # else what it stands for may be other things than before
            found = known.answer(fingerprint, sighting.phase, whose.workload_state)
        if found is False:
            found = known.about(self._finding(sighting, whose, fingerprint, now_ns, is_whole=False))
        if found is None:
            return False
        if known.count(fingerprint, found):
            self._tally.suppressed(sighting.layer, sighting.severity)
        return True

    def _in_incident(self, finding: Finding, sighting: Sighting) -> Finding:
        times = {"first_ns": sighting.first_ns, "last_ns": sighting.last_ns}
        return self.incidents.take(finding, **times)

    def _is_cool(self, sighting: Sighting, whose: Whose, now_ns: int) -> bool:
        """Return whether few deviations of the kind were told lately; what is grave always is."""
        if sighting.layer != "deviation" or sighting.identity is not None:
            return True
        if _rank(sighting.severity) > _rank("medium"):
            return True
        kind = (*_who(whose.subject), sighting.rule, sighting.exe, sighting.severity,
                sighting.attack)  # fmt: skip
        return self._warm.take(kind, now_ns)

    def _has_room(self, sighting: Sighting, whose: Whose, now_ns: int) -> bool:
        kind = (*_who(whose.subject), sighting.rule, sighting.severity)
        return sighting.identity == BEYOND or self._room.take(kind, now_ns)

    def _tell_more(self, told: _Told, finding: Finding, now_ns: int) -> None:
        """Tell what was told before of another instance, or because it is graver now."""
        before = told.finding
        update: dict[str, Any] = {"first_seen": before.first_seen}
        if _rank(finding.severity) < _rank(before.severity):
            update |= {"severity": before.severity, "reason": before.reason}
        told.finding = finding.model_copy(update=update)
        told.finding, told.told_ns, told.is_current = told.so_far(), now_ns, True
        if len(told.instances) >= _INSTANCES:
            told.instances.clear()
        told.instances.add(finding.instance_key)
        self._is_worst(finding.severity)
        self._on_finding(told.finding)

    def tell_again(self, now_ns: int, *, is_last: bool = False) -> None:
        """Bring up to date what was counted since it was told."""
        for told in self._stale(now_ns, is_last=is_last):
            told.finding = self._with_digest(told.so_far()).model_copy(
                update={"time": moment(now_ns)}
            )
            told.told_ns, told.is_current = now_ns, True
            self._on_finding(told.finding)
        self.incidents.tell(now_ns, moment(now_ns))

    def _with_digest(self, finding: Finding) -> Finding:
        """Return *finding* with the SHA-256 of its executable, where that was found later."""
        process = finding.process
        known = self._tree.get(process.exec_id) if process else None
        if process is None or known is None or (process.file and process.file.sha256):
            return finding
        file = FindingExecutable.model_validate(self._tree.file_of(known))
        if file.sha256 is None:
            return finding
        return finding.model_copy(update={"process": process.model_copy(update={"file": file})})

    def _stale(self, now_ns: int, *, is_last: bool) -> Iterator[_Told]:
        for told in self._told.values():
            if not told.is_current and (is_last or now_ns - told.told_ns >= _UPDATE_NS):
                yield told

    def _tell_new(self, finding: Finding, sighting: Sighting, now_ns: int) -> None:
        """Tell of *finding*; what counts those that there is no room for waits for the others."""
        if len(self._told) >= _LIMIT:
            self._forget()
        is_told = sighting.identity != BEYOND
        self._told[finding.fingerprint] = _Told(
            finding,
            told_ns=now_ns if is_told else 0,
            is_current=is_told,
            instances={finding.instance_key},
            count=sighting.count,
            last_ns=sighting.last_ns,
            observed=sighting.observed,
            values=dict.fromkeys(_values(sighting)[:_LISTED]),
            groups=_groups(sighting),
        )
        self.total += 1
        self._is_worst(finding.severity)
        self._tally.count(finding)
        if is_told:
            self._on_finding(finding)
            self._timed(sighting)

    def _timed(self, sighting: Sighting) -> None:
        if sighting.is_timed:
            self._tally.told(sighting.first_ns)

    def _is_worst(self, severity: Severity) -> None:
        if self.worst is None or _rank(severity) > _rank(self.worst):
            self.worst = severity

    def _forget(self) -> None:
        """Make room: those that were last seen first; they would be told anew."""
        by_age = sorted(self._told.values(), key=lambda told: told.last_ns)
        for told in by_age[: _LIMIT // 10]:
            if not told.is_current:
                self._on_finding(told.so_far())
            del self._told[told.finding.fingerprint]

    def _finding(
        self, sighting: Sighting, whose: Whose, fingerprint: str, now_ns: int, *,
        is_whole: bool = True,
    ) -> Finding:  # fmt: skip
        """Return the finding; where not *is_whole*, without what has to be looked up for it."""
        is_container = whose.container_id is not None and is_whole
        details = self._details.of(sighting) if is_whole else Detail()
        return Finding(
            schema=FINDING_SCHEMA,
            time=moment(now_ns),
            fingerprint=fingerprint,
            layer=sighting.layer,
            rule=sighting.rule,
            title=sighting.title,
            reason=sighting.reason,
            severity=sighting.severity,
            attack=tuple(
                Attack(technique=one.technique, version=one.version) for one in sighting.attack
            ),
            confidence=sighting.confidence,
            compliance=_compliance(sighting.compliance),
            workload=whose.subject,
            instance_key=whose.instance_key,
            container_id=whose.container_id,
            instance=whose.instance,
            container_root=self._tree.root(sighting.instance) if is_container else None,
            process=self._process(sighting, whose.subject.kind),
            file=details.file,
            peer=details.peer,
            dns=details.dns,
            evidence=_evidence(
                sighting.dimension,
                sighting.observed,
                _values(sighting),
                _nearest(sighting) if is_whole else (),
                _groups(sighting),
            ).model_copy(update={"p_value": sighting.p_value}),
            state=whose.state,
            workload_state=whose.workload_state,
            phase=sighting.phase,
            baseline=whose.baseline,
            first_seen=moment(sighting.first_ns),
            last_seen=moment(sighting.last_ns),
            count=sighting.count,
        )

    def _process(self, sighting: Sighting, kind: str) -> FindingProcess | None:
        """Return who did it, and of how many that may have done it where that is not known."""
        process = self._tree.get(sighting.exec_id) if sighting.exec_id else None
        if process is not None:
            return self._tree.described(process, kind)
        times = sighting.first_ns, sighting.last_ns
        process = self._tree.doer(sighting.instance, sighting.exe, *times)
        if process is None:
            return None
        number = self._tree.candidates(process, *times)
        told = self._tree.described(process, kind)
        return told.model_copy(update={"candidates": number}) if number > 1 else told


def _identity(sighting: Sighting, subject: Subject) -> Iterator[str | None]:
    """Yield what makes two sightings the same finding: in any replica, at any time."""
    yield from _who(subject)
    yield from (sighting.layer, sighting.rule, sighting.dimension)
    is_one = sighting.layer == "anomaly" or sighting.dimension == "workload"
    if sighting.identity and not is_one:
        yield f"{sighting.identity} {sighting.severity}"
    else:  # a workload and an episode are one, however grave they were to see first
        yield sighting.identity or sighting.observed
    yield None if sighting.exe is None else escape(sighting.exe)


def _who(subject: Subject) -> tuple[str | None, ...]:
    return subject.cluster, subject.namespace, subject.kind, subject.name, subject.container


@cache
def _compliance(tags: tuple[Tags, ...]) -> tuple[Compliance, ...] | None:
    return (
        tuple(
            Compliance(standard=one.standard, version=one.version, requirements=one.requirements)
            for one in tags
        )
        or None
    )


def _values(sighting: Sighting) -> tuple[AnyValue, ...]:
    return sighting.values or (() if sighting.value is None else (sighting.value,))


def _evidence(
    dimension: str,
    observed: str,
    values: tuple[AnyValue, ...],
    expected: tuple[str, ...],
    groups: tuple[FindingGroup, ...] | None = None,
) -> FindingEvidence:
    return FindingEvidence(
        dimension=dimension,
        observed=observed,
        expected=expected,
        values=values[:MOST_VALUES] or None,
        more=max(0, len(values) - MOST_VALUES) or None,
        groups=groups,
    )


def _groups(sighting: Sighting) -> tuple[FindingGroup, ...] | None:
    return (
        tuple(
            FindingGroup(
                dimension=dimension,
                values=values[:MOST_VALUES],
                more=max(0, len(values) - MOST_VALUES) or None,
            )
            for dimension, values in sighting.groups
        )
        or None
    )


def _nearest(sighting: Sighting) -> tuple[str, ...]:
    if sighting.known is None or sighting.value is None:
        return sighting.expected
    return nearest(sighting.known.baseline, cast(Dimension, sighting.dimension), sighting.value)


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)
