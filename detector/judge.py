"""Judges window after window: what strays from baselines, and what is bad in any case."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain

import pyarrow as pa

from detector.anomaly.layer import Anomalies
from detector.crowds import ONE_BY_ONE, Crowds
from detector.details import Details
from detector.deviations import Deviation, Deviations
from detector.events import Events, WantedEvents
from detector.findings import Findings, Whose
from detector.grading import Grade
from detector.indications import Indication, Indications, judged
from detector.live import Live
from detector.lookups import Lookups
from detector.options import RuleTrouble
from detector.patience import Patience
from detector.processes import ProcessTree
from detector.relations import Relations
from detector.rollouts import Rollouts
from detector.same_object import SameObject
from detector.script_files import ScriptFiles
from detector.seen import Seen
from detector.sighting import Sighting
from detector.sightings import graded, sightings
from detector.strayed import SMALL, Strayed, grade_of, grouped_phases
from detector.suppressions import Suppressions
from detector.tally import Tally
from detector.watched import Watched
from ethogram.contracts.baseline import (
    AnyValue,
    Dimension,
    ExecValue,
    FileValue,
    SyscallValue,
)
from ethogram.contracts.finding import SEVERITIES, Finding, Severity
from ethogram.contracts.incident import Incident
from learner.context import Context

__all__ = ["CallerOf", "Judge"]


# Says which process of an instance made a call first: in a phase, of an architecture, by number.
CallerOf = Callable[[int, str, str, int], str | None]

_DEVIATES = SEVERITIES.index("medium")
# So many are told between two looks at what the kernel has meanwhile.
_STEP = 256


def _nothing() -> None:
    pass


class Judge:
    """Judges each window of a `Live`, and tells *on_finding* what it finds."""

    def __init__(
        self,
        watched: Watched,
        on_finding: Callable[[Finding], None],
        tally: Tally | None = None,
        *,
        suppressions: Suppressions | None = None,
        on_incident: Callable[[Incident], None] = lambda _: None,
        anomalies: Anomalies | None = None,
        digest_of: Callable[[int], str | None] = lambda _: None,
        caller_of: CallerOf = lambda *_: None,
    ) -> None:
        self._watched = watched
        self._caller_of = caller_of
        self._suppressions = suppressions or Suppressions()
        self._anomalies = anomalies
        self._tree = ProcessTree(digest_of=digest_of)
        self._deviations = Deviations()
        self._indications = Indications()
        self._seen = Seen()
        self._lookups = Lookups()
        self._relations = Relations(self._tree)
        self._scripts = ScriptFiles()
        self._details = Details()
        self._events: Events | None = None
        # Of the last window: in whose behaviour something was found, or could not be looked for,
        # and of which dimension.
        self.troubled: set[tuple[int, str]] = set()
        self._rollouts = Rollouts()
        self._patience = Patience(watched, self._tree)
        self._now_ns = 0
        self.findings = Findings(
            self._tree,
            on_finding,
            tally,
            self._details,
            suppressions=self._suppressions,
            on_incident=on_incident,
        )

    def tell_events(self, wanted: WantedEvents, *, run: str) -> None:
        """Tell every event that is *wanted*, too, after what was found."""
        self._events = Events(self._tree, self._watched, wanted, run=run)

    def judge(self, live: Live, between: Callable[[], None]) -> None:
        """Judge the window of *live*; *between* is called between steps that take their time."""
        began_ns, now_ns = _span(live)
        self._now_ns = now_ns
        self._details.begin(live)
        context = self._lookups.of(live)
        self._tree.take(live.changed_processes(), live.table("executables"))
        self._watched.take(live, now_ns=now_ns)
        self._suppressions.take_day(datetime.fromtimestamp(now_ns / 1e9, UTC).date())
        between()
        instances = self._watched.instances()
        others = self._seen.others(live, context, instances)
        processes = judged(live, "processes", instances, others)
        indications = list(self._indications.of(live, context, instances, others, processes))
        between()
        strayed = self._strayed(context, others)
        related = [
            *self._relations.of(processes, strayed, now_ns),
            *self._scripts.of(processes, strayed, now_ns),
        ]
        told_of = {*self._relations.told_of, *self._scripts.told_of}
        self.troubled = {*_instances_of(indications, strayed), *self._indications.unjudged()}
        self._seen.passed(context, self.troubled, told_of)
        between()
        indications, strayed = self._each_once(indications, strayed)
        strayed = self._patience.take(live, strayed, indications, related, now_ns)
        self._tell_all(indications, related, strayed, now_ns=now_ns, between=between)
        between()
        if self._events:
            self._events.take(live, now_ns, between)
        if self._anomalies:
            self._anomalies.take(live, instances, (began_ns, now_ns))
            self.tell_anomalies(now_ns)
            between()
        self._tree.forget_ended(min(began_ns, self._patience.since_ns() or began_ns))
        self.findings.tell_again(now_ns)

    @property
    def waits_ns(self) -> int | None:
        """How long until what waits for more of its kind is to be told; None: nothing waits."""
        due_ns = self._patience.due_ns()
        return None if due_ns is None else max(0, due_ns - self._now_ns)

    def failing(self) -> tuple[RuleTrouble, ...]:
        """Return which indicators could not be asked since the watch began."""
        return self._indications.failing.standing()

    def settle(self, now_ns: int) -> None:
        """Tell what waits for more of its kind: nothing comes any more."""
        self._tell(self._sightings(self._patience.release(now_ns)), now_ns)

    def tell_anomalies(self, now_ns: int) -> None:
        """Tell what models answered by now."""
        if self._anomalies:
            self._tell(self._anomalies.sightings(self._watched.state_of_instance), now_ns)

    def _tell_all(
        self, indications: list[Indication], related: list[Sighting], strayed: list[Strayed], *,
        now_ns: int, between: Callable[[], None],
    ) -> None:  # fmt: skip
        """Tell what the window showed; who did very much comes after the others."""
        loud = _loud(indications, strayed)
        for is_loud in (False, True) if loud else (False,):
            told = chain(
                (_sighting_of(one) for one in indications if (one.instance in loud) is is_loud),
                (one for one in related if (one.instance in loud) is is_loud),
                self._sightings(one for one in strayed if (one.instance in loud) is is_loud),
            )
            self._tell(told, now_ns, between)

    def _tell(
        self, sightings: Iterable[Sighting], now_ns: int, between: Callable[[], None] = _nothing
    ) -> None:
        whose: dict[int, Whose] = {}
        crowds = Crowds()
        # What somebody said not to tell is counted by what it is.
        is_each = self._suppressions.is_any
        some = (one for one in sightings if is_each or crowds.lets(one))
        for number, sighting in enumerate(chain(some, crowds.rest())):
            if number % _STEP == _STEP - 1:
                between()
            self._take(sighting, whose, now_ns)

    def _take(self, sighting: Sighting, whose: dict[int, Whose], now_ns: int) -> None:
        instance = sighting.instance
        if instance not in whose:
            whose[instance] = self._watched.whose(instance)
        before = self.findings.total
        is_seen = self.findings.take(sighting, whose[instance], now_ns)
        self._watched.of_instance(instance).findings += self.findings.total - before
        if is_seen and _rank(sighting.severity) >= _DEVIATES:
            self._watched.deviated(instance, now_ns)

    # --- deviations --------------------------------------------------------------------------

    def _strayed(self, context: Context, others: Mapping[str, pa.Table]) -> list[Strayed]:
        """Return what strays from the baselines; of some tables only *others* are judged."""
        number_of = {key: number for number, key in context.instance_keys.items()}
        return [
            self._with_caller(Strayed(number_of[one.instance_key], one))
            for one in self._deviations.of(context, self._watched.baselines(), others)
        ]

    def _with_caller(self, found: Strayed) -> Strayed:
        """Return *found*; a call with the process that made it first, if that is known."""
        one = found.deviation
        if not isinstance(one.value, SyscallValue):
            return found
        exec_id = self._caller_of(found.instance, one.phase, one.value.arch, one.value.nr)
        return Strayed(found.instance, replace(one, exec_id=exec_id)) if exec_id else found

    def _each_once(
        self, indications: list[Indication], strayed: list[Strayed]
    ) -> tuple[list[Indication], list[Strayed]]:
        """Leave out what both tell of: an indicator tells more.

        It is as grave as the deviation at least. A file that strays in a graver way than an
        indicator told of is told all the same: who writes it may have read it.
        """
        by_object: dict[tuple[int, str, str], SameObject] = defaultdict(SameObject)
        for index, one in enumerate(indications):
            by_object[one.instance, one.dimension, _object_of(one.value)].add(index, one)
        others = []
        for found in strayed:
            deviation = found.deviation
            same = by_object.get((found.instance, deviation.dimension, _object_of(deviation.value)))
            if same is None:
                others.append(found)
                continue
            if not same.takes(deviation.value, grade_of(found, self._watched).severity):
                others.append(found)
        for same in by_object.values():
            for index, severity in same.raised():
                if _rank(severity) > _rank(indications[index].severity):
                    indications[index] = replace(indications[index], severity=severity)
        return indications, others

    def _sightings(self, strayed: Iterable[Strayed]) -> Iterator[Sighting]:
        groups: dict[tuple[int, Dimension], list[Deviation]] = defaultdict(list)
        for found in strayed:
            groups[found.instance, found.deviation.dimension].append(found.deviation)
        new: dict[int, list[tuple[Deviation, Grade]]] = defaultdict(list)
        for (instance, dimension), group in groups.items():
            workload = self._watched.of_instance(instance)
            state = self._watched.newness_of(workload, dimension)
            grouped = grouped_phases(workload)
            told = list(graded(group, state, grouped))
            if state == "rollout":
                new[instance] += [one for one in told if one[1].severity in SMALL]
                told = [one for one in told if one[1].severity not in SMALL]
            yield from sightings(
                told, instance=instance, known=workload.known, grouped=grouped, tree=self._tree
            )
        for instance, small in new.items():
            yield from self._of_new_image(instance, small)

    def _of_new_image(
        self, instance: int, small: list[tuple[Deviation, Grade]]
    ) -> Iterator[Sighting]:
        """Yield what stands for the small change that a new image brings, where there is any."""
        workload = self._watched.of_instance(instance)
        digest = workload.row["image_digest"]
        found = self._rollouts.take(
            small, workload_key=workload.key, digest=digest, instance=instance
        )
        if found is not None:
            yield found


def _loud(indications: Iterable[Indication], strayed: Iterable[Strayed]) -> frozenset[int]:
    """Return the instances of which so much is to be told that others come first."""
    counted = Counter(one.instance for one in indications)
    counted.update(one.instance for one in strayed)
    return frozenset(instance for instance, number in counted.items() if number > ONE_BY_ONE)


def _instances_of(
    indications: Iterable[Indication], strayed: Iterable[Strayed]
) -> Iterator[tuple[int, str]]:
    """Yield in whose behaviour something was found, and of which dimension."""
    yield from ((one.instance, one.dimension) for one in indications)
    yield from ((one.instance, one.deviation.dimension) for one in strayed)


def _sighting_of(found: Indication) -> Sighting:
    metadata = found.metadata
    return Sighting(
        layer="indicator",
        rule=metadata.id,
        title=metadata.title,
        reason=metadata.reason,
        severity=found.severity,
        attack=metadata.attack,
        instance=found.instance,
        phase=found.phase,
        dimension=found.dimension,
        observed=found.observed,
        exe=found.exe,
        exec_id=found.exec_id,
        first_ns=found.first_ns,
        last_ns=found.last_ns,
        count=found.count,
        value=found.value,
        identity=found.identity,
        confidence=metadata.confidence,
        compliance=metadata.compliance,
    )


def _rank(severity: Severity) -> int:
    return SEVERITIES.index(severity)


def _object_of(value: AnyValue) -> str:
    """Return what *value* is about, however it was used."""
    return value.path if isinstance(value, FileValue | ExecValue) else value.model_dump_json()


def _span(live: Live) -> tuple[int, int]:
    """Return when the window began, and ended or has come to, in nanoseconds UTC."""
    windows = live.table("windows")[-1:]
    began, ended = (windows.column(name).cast(pa.int64())[0].as_py() for name in ("start", "end"))
    return began, ended
