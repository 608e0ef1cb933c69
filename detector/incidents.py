"""Findings that belong together: those of one process tree, each within a minute of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from detector.tally import Tally
from ethogram.contracts.finding import (
    SEVERITIES,
    Attack,
    Finding,
    Severity,
    fingerprint_of,
)
from ethogram.contracts.finding_parts import ProcessEntry
from ethogram.contracts.incident import INCIDENT_SCHEMA, MOST_MEMBERS, Incident, Member

__all__ = ["Incidents"]

_APART_NS = 60 * 10**9
_MOST_OPEN = 1_000
_KNOWN = 1_000  # findings of one: beyond them it may count one twice
_RELATED = 16  # that one finding names
_SHOWN = 512  # characters of what a member saw
_NOBODY = ""
_Tree: TypeAlias = tuple[str, str]  # instance, first process of the tree or nobody


@dataclass(slots=True)
class _Open:
    """An incident that something may still join; *is_current*: it was told as it is."""

    id: str
    tree: _Tree
    root: ProcessEntry | None
    first: Finding
    last_ns: int
    gravest: Finding
    first_seen: str
    last_seen: str
    fingerprints: dict[str, None] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    attack: dict[Attack, None] = field(default_factory=dict)
    count: int = 0
    is_current: bool = True


class Incidents:
    """Puts findings into incidents, and tells *on_incident* those that grew.

    A finding that is alone is no incident to tell, but has an id that others may come to share.
    Of a finding whose process is not known only the container counts.
    """

    def __init__(
        self, tally: Tally, on_incident: Callable[[Incident], None] = lambda _: None
    ) -> None:
        self._tally = tally
        self._on_incident = on_incident
        self._open: dict[str, _Open] = {}
        self._of_tree: dict[_Tree, str] = {}
        # Those of each instance, by what they were last joined by: the newest stands last.
        self._of_instance: dict[str, dict[str, None]] = {}
        self._worst: dict[str, Severity] = {}
        self.total = 0

    def take(self, finding: Finding, *, first_ns: int, last_ns: int) -> Finding:
        """Return *finding* with its incident, and what was found of that before.

        The first process of a tree is where it entered its container.
        """
        root = finding.process.entry if finding.process else None
        tree = (finding.instance_key, root.exec_id if root else _NOBODY)
        incident = self._near(tree, first_ns) or self._begin(tree, root, finding, last_ns)
        if root and incident.root is None:
            self._adopt(incident, tree, root)
        others = (one for one in reversed(incident.fingerprints) if one != finding.fingerprint)
        related = tuple(islice(others, _RELATED))[::-1] or None
        _join(incident, finding, last_ns)
        self._touch(incident)
        return finding.model_copy(update={"incident": incident.id, "related": related})

    def goes_on(self, finding: Finding, last_ns: int) -> None:
        """Keep the incident open that *finding*, which was seen again, is part of."""
        if (incident := self._open.get(finding.incident or "")) is not None:
            incident.last_ns = max(incident.last_ns, last_ns)
            incident.last_seen = max(incident.last_seen, finding.last_seen)

    def tell(self, now_ns: int, time: str) -> None:
        """Tell the incidents that grew since they were told; forget those that are over."""
        self._tell_grown(self._open.values(), time)
        over = [one.id for one in self._open.values() if now_ns - one.last_ns > _APART_NS]
        for number in over:
            self._forget(number)
        self._make_room()

    def _tell_grown(self, incidents: Iterable[_Open], time: str) -> None:
        for incident in incidents:
            if not incident.is_current and incident.count > 1:
                incident.is_current = True
                self._on_incident(self._told(incident, time))

    def _make_room(self, time: str | None = None) -> None:
        """Forget those that nothing joined for longest; with a *time* they are told before."""
        if len(self._open) <= _MOST_OPEN:
            return
        by_age = sorted(self._open.values(), key=lambda one: one.last_ns)
        over = by_age[: len(by_age) - _MOST_OPEN]
        if time is not None:
            self._tell_grown(over, time)
        for incident in over:
            self._forget(incident.id)

    def _near(self, tree: _Tree, first_ns: int) -> _Open | None:
        """Return the open incident that something of *tree* belongs to.

        What is of nobody belongs to whatever its container's newest is, and the other way round.
        """
        instance, root = tree
        number = self._of_tree.get(tree) or self._of_tree.get((instance, _NOBODY))
        if number is None and root == _NOBODY:
            number = next(reversed(self._of_instance.get(instance, {})), None)
        found = self._open.get(number or "")
        return found if found and first_ns - found.last_ns <= _APART_NS else None

    def _touch(self, incident: _Open) -> None:
        others = self._of_instance.setdefault(incident.tree[0], {})
        others.pop(incident.id, None)
        others[incident.id] = None

    def _begin(
        self, tree: _Tree, root: ProcessEntry | None, finding: Finding, last_ns: int
    ) -> _Open:
        number = fingerprint_of([*tree, finding.fingerprint, finding.first_seen])
        incident = _Open(
            id=number, tree=tree, root=root, first=finding, last_ns=last_ns, gravest=finding,
            first_seen=finding.first_seen, last_seen=finding.last_seen,
        )  # fmt: skip
        if len(self._open) >= 2 * _MOST_OPEN:  # all of them in one window
            self._make_room(finding.time)
        self._open[number] = incident
        self._of_tree[tree] = number
        return incident

    def _adopt(self, incident: _Open, tree: _Tree, root: ProcessEntry) -> None:
        """Make *incident*, which nobody was known to have begun, one of *tree* and of no other."""
        if self._of_tree.get(incident.tree) == incident.id:
            del self._of_tree[incident.tree]
        incident.tree, incident.root = tree, root
        self._of_tree[tree] = incident.id

    def _forget(self, number: str) -> None:
        incident = self._open.pop(number)
        self._worst.pop(number, None)
        if self._of_tree.get(incident.tree) == number:
            del self._of_tree[incident.tree]
        others = self._of_instance[incident.tree[0]]
        del others[number]
        if not others:
            del self._of_instance[incident.tree[0]]

    def _told(self, incident: _Open, time: str) -> Incident:
        severity = incident.gravest.severity
        self.total += incident.id not in self._worst
        if self._worst.get(incident.id) != severity:
            self._worst[incident.id] = severity
            self._tally.incident(severity)
        first = incident.first
        return Incident(
            schema=INCIDENT_SCHEMA,
            time=time,
            id=incident.id,
            title=incident.gravest.title,
            severity=severity,
            workload=first.workload,
            instance_key=first.instance_key,
            container_id=first.container_id,
            root=incident.root,
            findings=tuple(incident.members),
            count=incident.count,
            attack=tuple(incident.attack),
            first_seen=incident.first_seen,
            last_seen=incident.last_seen,
        )


def _join(incident: _Open, finding: Finding, last_ns: int) -> None:
    is_new = finding.fingerprint not in incident.fingerprints
    is_graver = _rank(finding) > _rank(incident.gravest)
    if is_new:
        incident.count += 1
        if len(incident.fingerprints) >= _KNOWN:
            del incident.fingerprints[next(iter(incident.fingerprints))]
        incident.fingerprints[finding.fingerprint] = None
    incident.attack.update(dict.fromkeys(finding.attack))
    incident.last_ns = max(incident.last_ns, last_ns)
    incident.first_seen = min(incident.first_seen, finding.first_seen)
    incident.last_seen = max(incident.last_seen, finding.last_seen)
    if is_graver:
        incident.gravest = finding
    if is_new and len(incident.members) < MOST_MEMBERS:
        incident.members.append(_member(finding))
    if is_new or is_graver:
        incident.is_current = False


def _member(finding: Finding) -> Member:
    return Member(
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        title=finding.title,
        severity=finding.severity,
        observed=finding.evidence.observed[:_SHOWN],
    )


def _rank(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)
