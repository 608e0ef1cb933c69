"""The workloads of this host, the baselines that are for them, and how each stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from detector.findings import Whose
from detector.library import Known, Library, subject_of
from detector.live import Live
from detector.moments import moment
from detector.options import WorkloadStatus
from detector.states import Judged, StateChange, States, newness
from detector.visibility import visibilities
from ethogram.contracts.arrow import plain_rows
from ethogram.contracts.baseline import Dimension, Subject
from ethogram.contracts.baseline_places import BaselineFile
from ethogram.contracts.escape import escape
from ethogram.contracts.finding import SensorState, WorkloadState
from ethogram.contracts.finding_parts import FindingInstance
from ethogram.contracts.keys import instance_key, workload_key_of

__all__ = ["Watched", "Workload"]

_SENSOR: Mapping[WorkloadState, SensorState] = {"degraded": "degraded", "blind": "blind"}
_NOT_JUDGED = Judged("unknown", "no window of it has ended yet")
# Workloads without a baseline of which nothing runs any more; beyond them the oldest are forgotten.
_ENDED = 1000


@dataclass(slots=True)
class Workload:
    """One workload: its row of `workloads`, its baseline, and what was found of it.

    *living* are the numbers of its instances that run or ended a moment ago, *instances* says how
    many it ever had.
    """

    row: Mapping[str, Any]
    key: str
    subject: Subject
    known: Known | None
    living: set[int] = field(default_factory=set)
    instances: int = 0
    findings: int = 0

    @property
    def is_container(self) -> bool:
        """Whether it runs in a container, of a pod or of an engine alone, such as podman."""
        return self.row["container"] is not None or self.row["kind"] == "Container"


def _of_finding(state: WorkloadState) -> WorkloadState:
    """Return what *state* says of a finding: that there were others says nothing of this one."""
    return "ok" if state == "deviating" else state


class Watched:
    """Keeps who is watched, by the numbers that rows have."""

    def __init__(
        self,
        library: Library,
        states: States,
        *,
        host_id: str,
        on_state: Callable[[StateChange], None],
    ) -> None:
        self._library = library
        self._day: date | None = None
        self._states = states
        self._host_id = host_id
        self._on_state = on_state
        self._workloads: dict[int, Workload] = {}
        self._instances: dict[int, Mapping[str, Any]] = {}

    # --- what a window says of them ----------------------------------------------------------

    def take(self, live: Live, *, now_ns: int) -> None:
        """Take the workloads and instances of the window that ended at *now_ns*, and their states.

        Nanoseconds UTC.
        """
        self._take_day(date.fromisoformat(moment(now_ns)[:10]))
        for row in live.window("workloads").to_pylist():
            self._take_workload(row)
        instances = plain_rows(live.window("instances"))
        if {row["workload"] for row in instances} - self._workloads.keys():
            for row in live.table("workloads").to_pylist():
                if row["workload"] not in self._workloads:
                    self._take_workload(row)
        for row in instances:
            self._take_instance(row)
        self._forget_gone(live)
        seen = visibilities(live.window("coverage"), live.window("losses"), live.table("instances"))
        for number, visibility in seen.items():
            if (workload := self._workloads.get(number)) is None:
                continue
            rivals = () if workload.known else self._library.rivals(workload.row)
            change = self._states.update(
                workload.row, workload.known, visibility, now_ns=now_ns, rivals=rivals
            )
            if change:
                self._on_state(change)
        for number, one in self._workloads.items():
            if number in seen:
                continue
            if change := self._states.pass_time(one.row, one.known, key=one.key, now_ns=now_ns):
                self._on_state(change)

    def replace(self, library: Library) -> None:
        """Judge by the baselines of *library* from the next window on."""
        self._library = library if self._day is None else library.on(self._day)
        for workload in self._workloads.values():
            workload.known = self._library.of(workload.row)

    def _take_day(self, day: date) -> None:
        """Judge by what is in force on *day*: overlays end while a watch runs."""
        if day == self._day:
            return
        self._day = day
        library = self._library.on(day)
        if library is not self._library:
            self._library = library
            for workload in self._workloads.values():
                workload.known = library.of(workload.row)

    def _take_workload(self, row: Mapping[str, Any]) -> None:
        """Take a row of `workloads`: a new one, or one whose names came later."""
        before = self._workloads.get(row["workload"])
        self._workloads[row["workload"]] = Workload(
            row=row,
            key=workload_key_of(row),
            subject=subject_of(row),
            known=self._library.of(row),
            living=before.living if before else set(),
            instances=before.instances if before else 0,
            findings=before.findings if before else 0,
        )

    def _take_instance(self, row: Mapping[str, Any]) -> None:
        """Take a row of `instances`; one whose name came late leaves the workload it was put in."""
        number, owner = row["instance"], self._workloads.get(row["workload"])
        before = self._instances.get(number)
        if owner is None:
            return
        self._instances[number] = row
        if before is not None and before["workload"] != row["workload"]:
            self._take_away(number, self._workloads[before["workload"]])
        if number not in owner.living:
            owner.living.add(number)
            owner.instances += 1

    def _take_away(self, number: int, workload: Workload) -> None:
        workload.living.discard(number)
        workload.instances -= 1
        if not workload.instances:
            self._forget(workload)  # nothing ever ran under this name

    def _forget_gone(self, live: Live) -> None:
        """Forget the instances of which nothing is to come, and of their workloads too many."""
        here = set(live.table("instances").column("instance").to_pylist())
        for number in self._instances.keys() - here:
            workload = self._workloads[self._instances.pop(number)["workload"]]
            workload.living.discard(number)
        ended = [one for one in self._workloads.values() if not one.living and one.known is None]
        for workload in ended[: max(0, len(ended) - _ENDED)]:
            self._forget(workload)

    def _forget(self, workload: Workload) -> None:
        del self._workloads[workload.row["workload"]]
        self._states.forget(workload.key)

    # --- whom to judge -----------------------------------------------------------------------

    def baselines(self) -> dict[str, Known]:
        """Return the baselines that apply, by workload key."""
        return {one.key: one.known for one in self._workloads.values() if one.known is not None}

    def instances(self) -> dict[int, Known | None]:
        """Return the instances that indicators judge, with their baselines.

        Without a baseline only what runs in a container is judged: a host's own programs read
        secrets and load modules for a living.
        """
        return {
            number: one.known
            for one in self._workloads.values()
            if one.known is not None or one.is_container
            for number in one.living
        }

    def known_instances(self) -> frozenset[int]:
        """Return every instance that a window told of and that is not forgotten."""
        return frozenset(self._instances)

    def unknown(self) -> list[Workload]:
        """Return the workloads that no baseline is for, of which something runs."""
        return [one for one in self._workloads.values() if one.known is None and one.living]

    def row_of(self, instance: int) -> Mapping[str, Any]:
        """Return the row of table `instances` of *instance*."""
        return self._instances[instance]

    def is_known(self, instance: int) -> bool:
        """Return whether *instance* is watched, and not over for long."""
        return instance in self._instances

    def of_instance(self, instance: int) -> Workload:
        """Return the workload that *instance* runs."""
        return self._workloads[self._instances[instance]["workload"]]

    def state_of(self, workload: Workload) -> Judged:
        """Return the state of *workload* as of the last window that had something of it.

        Before its first one, and once it got a baseline or lost it, the state that is to come.
        """
        judged, known = self._states.of(workload.key), workload.known
        if known is None:
            return judged if judged and judged.state == "unknown" else _NOT_JUDGED
        if judged is None or judged.state == "unknown":
            return self._states.expected(workload.row, known)
        return judged

    def state_of_instance(self, instance: int) -> WorkloadState | None:
        """Return the state of the workload of *instance*; None where that is over."""
        row = self._instances.get(instance)
        workload = self._workloads.get(row["workload"]) if row else None
        return None if workload is None else _of_finding(self.state_of(workload).state)

    def deviated(self, instance: int, now_ns: int) -> None:
        """Note that something of severity medium or more was told of *instance*."""
        self._states.deviated(self.of_instance(instance).key, now_ns)

    def newness_of(self, workload: Workload, dimension: Dimension) -> WorkloadState:
        """Return what tempers deviations of *workload*: `rollout`, `learning`, or else its state.

        A loss of events hides that state, and not that the image is new. A thin baseline may yet
        be settled in this *dimension*: `ok` then.
        """
        judged = self.state_of(workload)
        if workload.known is not None and judged.state in ("degraded", "blind"):
            judged = newness(workload.row, workload.known.baseline) or judged
        is_settled = judged.state == "learning" and dimension not in judged.unsettled
        return "ok" if is_settled else judged.state

    def whose(self, instance: int) -> Whose:
        """Return what a finding says of *instance*."""
        workload, row = self.of_instance(instance), self._instances[instance]
        state = _of_finding(self.state_of(workload).state)
        return Whose(
            subject=workload.subject,
            instance_key=instance_key(self._host_id, row["runtime_id"]),
            container_id=row["runtime_id"] if workload.is_container else None,
            state=_SENSOR.get(state, "ok"),
            workload_state=state,
            baseline=workload.known.file.name if workload.known else None,
            instance=_instance(row),
        )

    # --- what to say of them -----------------------------------------------------------------

    def statuses(self) -> tuple[WorkloadStatus, ...]:
        """Return how every workload stands, by name."""
        return tuple(
            WorkloadStatus(
                subject=one.subject,
                state=(judged := self.state_of(one)).state,
                reason=judged.reason,
                baseline=one.known.file if one.known else None,
                instances=one.instances,
                findings=one.findings,
            )
            for one in sorted(self._workloads.values(), key=lambda one: one.key)
        )

    def unmatched(self) -> Iterator[BaselineFile]:
        """Yield the files of baselines that were for no workload."""
        used = {one.known.file for one in self._workloads.values() if one.known}
        yield from (one.file for one in self._library.known if one.file not in used)


def _instance(row: Mapping[str, Any]) -> FindingInstance:
    return FindingInstance(
        runtime_id=escape(row["runtime_id"]) or "?",
        pod_uid=escape(row["pod_uid"]) if row["pod_uid"] else None,
        runtime=escape(row["runtime"]) if row["runtime"] else None,
        cgroup_id=row["cgroup_id"] or None,
        started=row["started"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    )
