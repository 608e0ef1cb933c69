"""From kernel slots to workloads and instances: resolved once, here, and by number after that.

A slot is (cgroup, mount namespace, phase). Several slots are one instance: a container's cgroup
under several phases, its mount namespace before and after the runtime set it up, a process that
has joined its mount namespace but not yet its cgroup. A mount namespace is known by a number that
the kernel never gives to another, as it does with the inode of one that is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import numpy as np

from ethogram.contracts.events import NO_SLOT, EventFlag, RecordKind
from ethogram.contracts.tables import ENUMS
from profiler.clock import BootClock
from profiler.identity.model import Identity
from profiler.identity.resolver import Resolver
from profiler.instances import Instance, Slot, SlotTables, slot_tables
from profiler.ring import Records
from profiler.targets import Verdict

__all__ = ["NAMESPACES", "Registry"]

NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time")
_RUNTIME, _UNKNOWN = ENUMS["phase"].index("runtime"), ENUMS["phase"].index("unknown")
# Phases of what descends from the entrypoint; sessions and the runtime have their own.
_OWN = frozenset(ENUMS["phase"].index(name) for name in ("startup", "steady", "shutdown"))
_LATE = 4096  # instances that are over, whose pod may still be told of


class Registry:
    """Knows every slot, and which workload and instance it belongs to.

    *choose* says of an identity and the path of its cgroup, null where that was never seen,
    whether it is to be recorded: `wanted`, `unwanted` or `pending`. *on_made* is told id and path
    of each cgroup that the kernel made, as soon as that is known.
    """

    def __init__(
        self,
        resolver: Resolver,
        clock: BootClock,
        *,
        choose: Callable[[Identity, str | None], Verdict],
        on_made: Callable[[int, str], object] = lambda _id, _path: None,
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self.host_mntns = 0  # known once the programs are attached
        self._choose = choose
        self._on_made = on_made
        self._paths: dict[int, str] = {}
        self._instances: dict[int, Instance] = {}
        self._late: dict[int, Instance] = {}  # forgotten ones whose pod is still to be told of
        self._open: dict[int, Instance] = {}  # those with `is_open`, by number
        self._tables: SlotTables | None = None  # of `slots`, until one of them means something else
        self._by_mntns: dict[int, Instance] = {}
        self._workloads: dict[str, tuple[int, Identity]] = {}
        self._changed_workloads: dict[int, Identity] = {}
        self._written: set[int] = set()  # workloads that have a row
        self._numbers = 0  # of workloads, given so far
        self._container_ids: set[str] = set()
        self._count = 0
        self.slots: dict[int, Slot] = {}

    # --- what the kernel says ----------------------------------------------------------------

    def take(self, records: Mapping[RecordKind, list[Records]], *, is_live: bool) -> None:
        """Take records of cgroups and slots in the order of their time, whatever batch they are in.

        A cgroup may be made, used and removed between two polls. Taking a record again is harmless.
        """
        events = [
            (int(head["time_ns"]), kind, head, tail)
            for kind in (RecordKind.CGROUP, RecordKind.SLOT)
            for batch in records.get(kind, [])
            for head, tail in zip(batch.heads, batch.tails, strict=True)
        ]
        for time_ns, kind, head, tail in sorted(events, key=lambda event: event[0]):
            if kind is RecordKind.SLOT:
                if int(head["slot"]) not in self.slots:
                    self.add_slot(head, is_live=is_live)
            elif int(head["flags"]) & EventFlag.REMOVED:
                self.cgroup_removed(int(head["cgroup_id"]), time_ns)
            else:
                path = os.fsdecode(tail[: int(head["path_size"])])
                self.cgroup_made(int(head["cgroup_id"]), path)
                self._on_made(int(head["cgroup_id"]), path)

    def cgroup_made(self, cgroup_id: int, path: str) -> None:
        """Remember the path of a cgroup, and what its runtime already says of it."""
        self._paths[cgroup_id] = path

    def cgroup_removed(self, cgroup_id: int, time_ns: int) -> None:
        """Note that the instance of a cgroup ended, or forget the cgroup where it has none."""
        instance = self._instances.get(cgroup_id)
        if instance is None:
            self._paths.pop(cgroup_id, None)
        elif instance.ended_ns is None:
            instance.ended_ns = time_ns
            instance.is_changed = True

    def add_slot(self, head: np.void, *, is_live: bool) -> Slot:
        """Take a `slot_record` and say what its slot stands for."""
        cgroup_id, mntns = int(head["cgroup_id"]), int(head["mntns"])
        phase = int(head["phase"])
        joined = self._by_mntns.get(mntns) if mntns != self.host_mntns else None
        if joined is not None and joined.ended_ns is not None:
            joined = None  # it only outlived the container
        instance = self._instances.get(cgroup_id)
        identity = instance.identity if instance else self._resolve(cgroup_id, head)
        if joined is not None and joined is not instance and identity.container_id is None:
            # Joined the container's mount namespace from outside, its cgroup comes next.
            instance, phase = joined, _RUNTIME
        else:
            instance = instance or self._new_instance(identity, head, is_live=is_live)
            self._describe(instance, head)
            if instance.is_container and mntns != self.host_mntns:
                self._own_mntns(mntns, instance)
            elif instance.is_container and phase != _UNKNOWN:
                phase = _RUNTIME  # not yet in the container's own namespaces
        instance.kernel_keys.add((cgroup_id, mntns))
        slot = Slot(int(head["slot"]), instance, phase)
        instance.slots.add(slot.number)
        self.slots[slot.number] = slot
        self._tables = None
        return slot

    def _own_mntns(self, mntns: int, instance: Instance) -> None:
        known = self._by_mntns.get(mntns)
        if known is None or known.ended_ns is not None:
            self._by_mntns[mntns] = instance

    def _resolve(self, cgroup_id: int, head: np.void) -> Identity:
        return self._resolver.resolve(
            self._paths.get(cgroup_id),
            cgroup_id=cgroup_id,
            mntns=int(head["mntns_inode"]),
            pid=int(head["tgid"]) or None,
        )

    def _new_instance(self, identity: Identity, head: np.void, *, is_live: bool) -> Instance:
        cgroup_id, tgid = int(head["cgroup_id"]), int(head["tgid"])
        instance = Instance(
            number=self._count,
            cgroup_id=cgroup_id,
            path=self._paths.get(cgroup_id),
            identity=identity,
            started_ns=int(head["time_ns"]),
            mntns=int(head["mntns"]),
            mntns_inode=int(head["mntns_inode"]),
            netns=int(head["netns"]),
            pid=tgid,
            is_live=is_live,
            # A task announces what it is in. What is announced by a socket alone was forgotten:
            # the socket outlived it, and nothing will tell of its end again.
            ended_ns=None if tgid else int(head["time_ns"]),
        )
        self._count += 1
        self._instances[cgroup_id] = instance
        self._name(instance, identity)
        return instance

    def _describe(self, instance: Instance, head: np.void) -> None:
        """Keep what the entrypoint says of itself, and until it ran what others say.

        The first task that is seen in a phase announces it: the runtime's, one that entered, or a
        child that left the namespaces which the instance has.
        """
        mntns, flags, tgid = int(head["mntns"]), int(head["flags"]), int(head["tgid"])
        if not tgid or (mntns == self.host_mntns and instance.is_container):
            return
        instance.pid = tgid
        if instance.main_pid not in (0, tgid):
            return
        if int(head["phase"]) in _OWN:
            instance.main_pid = tgid
        if mntns != instance.mntns or int(head["mntns_inode"]):
            instance.mntns_inode = int(head["mntns_inode"])
        instance.mntns, instance.netns = mntns, int(head["netns"])
        instance.caps_bounding = int(head["caps_bounding"])
        instance.host_bits = int(head["host_namespace_bits"])
        instance.no_new_privs |= bool(flags & EventFlag.NO_NEW_PRIVS)
        instance.seccomp_mode = 2 if flags & EventFlag.SECCOMP_FILTER else instance.seccomp_mode
        instance.is_changed = True

    # --- names -------------------------------------------------------------------------------

    def _name(self, instance: Instance, identity: Identity) -> None:
        instance.workload = self._workload_of(instance, identity)
        instance.identity = identity
        if identity.container_id is not None:
            self._container_ids.add(identity.container_id)
        instance.verdict = self._choose(identity, instance.path)
        instance.is_changed = True
        self._tables = None
        if instance.is_open:
            self._open[instance.number] = instance
        else:
            self._open.pop(instance.number, None)

    def _workload_of(self, instance: Instance, identity: Identity) -> int:
        """Return the number of the workload that *instance* is of from now on.

        What was written under a name that was still to come is of the one that came: that has the
        same number or, where it had one of its own, is written for both.
        """
        key = identity.workload_key
        freed = self._given_up(instance, key)
        known = self._workloads.get(key)
        if known is None:
            number = self._numbers if freed is None else freed
            self._numbers += freed is None
        else:
            number, before = known
            if freed in self._written:
                self._changed_workloads[freed] = identity
            is_settled = not before.is_provisional
            if before == identity or (is_settled and identity.is_provisional):
                return number
        self._workloads[key] = number, identity
        self._changed_workloads[number] = identity
        return number

    def _given_up(self, instance: Instance, key: str) -> int | None:
        """Forget the workload of *instance* where all that it is has now the name *key*.

        Return its number; None where it stands: it was settled once, or is another's as well.
        """
        number, before = instance.workload, instance.identity.workload_key
        if number < 0 or before == key or not self._workloads[before][1].is_provisional:
            return None
        if any(i.workload == number for i in self._instances.values() if i is not instance):
            return None
        del self._workloads[before]
        self._changed_workloads.pop(number, None)
        return number

    def has_pending(self, *, newer_than_ns: int = 0) -> bool:
        """Return whether a name or a runtime may still come for what began after this time."""
        return any(i.started_ns > newer_than_ns for i in self._open.values())

    def open_count(self) -> int:
        """Return of how many instances a name or a runtime may still come."""
        return len(self._open)

    def pending(self) -> list[Instance]:
        """Return the containers whose name or runtime may still come."""
        return [i for i in self._open.values() if i.is_container]

    def resolve_pending(self, *, newer_than_ns: int = 0) -> None:
        """Ask again for every name that may still come, and for the runtimes of young containers.

        Only of what began after *newer_than_ns*. A name that is settled stays as it is: its rows
        are written already.
        """
        for instance in list(self._open.values()):
            if instance.started_ns <= newer_than_ns:
                continue
            was_container = instance.is_container
            identity = self._resolver.resolve(
                instance.path,
                cgroup_id=instance.cgroup_id,
                mntns=instance.mntns_inode,
                pid=instance.pid or None,
            )
            if instance.identity.state != "pending":
                identity = instance.identity.completed_by(identity)
            if identity != instance.identity:
                self._name(instance, identity)
            if instance.is_container and not was_container:
                self._became_container(instance)

    def resolve_again(self, relabelled: Collection[str] = ()) -> None:
        """Ask again for the pods that the cluster had not told of, also of instances that ended.

        The workloads of the namespaces *relabelled* are written again, with the labels.
        """
        for number, named in self._workloads.values():
            if named.namespace in relabelled:
                self._changed_workloads.setdefault(number, named)
        for instance in [*self._instances.values(), *self._late.values()]:
            before = instance.identity
            if not before.awaits_pod or before.state == "pending":
                continue
            identity = self._resolver.resolve(
                instance.path, cgroup_id=instance.cgroup_id, mntns=instance.mntns_inode
            )
            if identity.container_id == before.container_id and not identity.is_provisional:
                self._name(instance, identity.completed_by(before))
                if self._late.pop(instance.number, None) is not None:
                    self._open.pop(instance.number, None)

    def _became_container(self, instance: Instance) -> None:
        self._tables = None
        if instance.mntns == self.host_mntns:
            instance.main_pid = 0  # that was the runtime
        for number in instance.slots:
            slot = self.slots[number]
            for cgroup_id, mntns in instance.kernel_keys:
                if cgroup_id == instance.cgroup_id and mntns != self.host_mntns:
                    self._own_mntns(mntns, instance)
            if instance.mntns == self.host_mntns and slot.phase != _UNKNOWN:
                self.slots[number] = Slot(number, instance, _RUNTIME)
            else:
                self.slots[number] = slot

    # --- what the tables want ----------------------------------------------------------------

    def columns_of(self, slots: np.ndarray) -> dict[str, np.ndarray]:
        """Return columns `workload`, `instance` and `phase` for an array of slot numbers."""
        whose = self._of_slots().whose
        workload, instance, phase = whose[:, np.minimum(slots, whose.shape[1] - 1)]
        return {"workload": workload, "instance": instance, "phase": phase.astype(np.uint8)}

    def canonical(self) -> np.ndarray:
        """Return for each slot number the first that has the same instance and phase."""
        return self._of_slots().canonical

    def verdicts(self, slots: np.ndarray) -> np.ndarray:
        """Return for each slot number 1 wanted, 0 unwanted or unknown, 2 pending."""
        verdicts = self._of_slots().verdicts
        return np.asarray(verdicts[np.minimum(slots, len(verdicts) - 1)])

    def _of_slots(self) -> SlotTables:
        if self._tables is None:
            self._tables = slot_tables(self.slots)
        return self._tables

    def instances(self) -> Iterable[Instance]:
        """Return every instance that was seen and not forgotten."""
        return self._instances.values()

    def current_phase(self, instance: Instance) -> int:
        """Return the phase that an instance's own processes were last seen to be in."""
        own = [self.slots[number].phase for number in instance.slots if number in self.slots]
        order = [ENUMS["phase"].index(name) for name in ("shutdown", "steady", "startup")]
        return next((phase for phase in order if phase in own), own[0] if own else 0)

    def unwanted(self) -> Iterator[Instance]:
        """Yield instances that are not to be recorded."""
        return (i for i in self._instances.values() if i.verdict == "unwanted")

    def is_container(self, container_id: str) -> bool:
        """Return whether this is the id of a container that was seen and not forgotten."""
        return container_id in self._container_ids

    def workload_count(self) -> int:
        """Return how many workloads are or were recorded, by name."""
        used = {i.workload for i in self._instances.values() if i.verdict == "wanted"}
        used |= self._written
        return sum(number in used for number, _ in self._workloads.values())

    def workload_keys(self) -> dict[int | None, str]:
        """Return the key of every workload by its number."""
        return {number: key for key, (number, _) in self._workloads.items()}

    def instance_of(self, slot: int) -> Instance | None:
        """Return the instance of a slot; None for `NO_SLOT` and unknown ones."""
        found = None if slot == NO_SLOT else self.slots.get(slot)
        return found.instance if found else None

    def changed_workloads(self) -> dict[str, list[object]]:
        """Return columns of `workloads` for those that are new or have a better name."""
        used = {i.workload for i in self._instances.values() if i.verdict == "wanted"}
        chosen = {
            number: identity for number, identity in self._changed_workloads.items()
            if number in used or number in self._written
        }  # fmt: skip
        for number in chosen:
            del self._changed_workloads[number]
        self._written |= chosen.keys()
        names = ("cluster", "namespace", "kind", "name", "container", "container_kind", "image",
                 "image_digest", "labels", "selector", "source", "state")  # fmt: skip
        columns: dict[str, list[object]] = {"workload": list(chosen)}
        for name in names:
            columns[name] = [getattr(identity, name) for identity in chosen.values()]
        labels = self._resolver.namespace_labels
        columns["namespace_labels"] = [labels(one.namespace) for one in chosen.values()]
        return columns

    def changed_instances(self) -> dict[str, list[object]]:
        """Return columns of `instances` for those that are new or changed."""
        chosen = [i for i in self._instances.values() if i.is_changed and i.verdict == "wanted"]
        for instance in chosen:
            instance.is_changed = False
        utc = self._clock.utc_ns
        return {
            "instance": [i.number for i in chosen],
            "workload": [i.workload for i in chosen],
            "runtime_id": [i.identity.runtime_id for i in chosen],
            "pod_uid": [i.identity.pod_uid for i in chosen],
            "cgroup_id": [i.cgroup_id for i in chosen],
            "mntns": [i.mntns_inode or None for i in chosen],
            "netns": [i.netns for i in chosen],
            "started": [utc(i.started_ns) for i in chosen],
            "ended": [None if i.ended_ns is None else utc(i.ended_ns) for i in chosen],
            "runtime": [i.identity.runtime for i in chosen],
            "runtime_version": [i.identity.runtime_version for i in chosen],
            "seccomp_mode": [i.seccomp_mode for i in chosen],
            "no_new_privs": [i.no_new_privs for i in chosen],
            "caps_bounding": [i.caps_bounding for i in chosen],
            "host_namespaces": [
                [name for bit, name in enumerate(NAMESPACES) if i.host_bits >> bit & 1]
                for i in chosen
            ],
            "observed": ["live" if i.is_live else "snapshot" for i in chosen],
            "host_paths": [i.identity.host_paths for i in chosen],
            "host_ports": [i.identity.host_ports for i in chosen],
        }

    def ended(self, before_ns: int) -> list[Instance]:
        """Return what ended before this time and has nothing left to be written.

        A name that may still come is waited for: rows may wait for it, or say that it is pending.
        """
        return [
            i for i in self._instances.values()
            if i.ended_ns is not None and i.ended_ns < before_ns
            and (i.verdict == "unwanted" or i.identity.state != "pending")
        ]  # fmt: skip

    def forget(self, instance: Instance) -> list[int]:
        """Forget an ended instance; return its slots, which the kernel side may use again."""
        self._tables = None
        self._instances.pop(instance.cgroup_id, None)
        self._open.pop(instance.number, None)
        self._paths.pop(instance.cgroup_id, None)
        self._container_ids.discard(instance.identity.container_id or "")
        if instance.identity.awaits_pod and instance.verdict == "wanted":
            self._late[instance.number] = instance
            if len(self._late) > _LATE:
                self._late.pop(next(iter(self._late)))
        for mntns in [key for key, value in self._by_mntns.items() if value is instance]:
            del self._by_mntns[mntns]
        slots = sorted(instance.slots)
        for number in slots:
            self.slots.pop(number, None)
        return slots
