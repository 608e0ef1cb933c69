"""The resolver: from a cgroup and mount namespace to the identity of a workload, once."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from profiler.identity import containerd, docker
from profiler.identity.cgroups import CgroupName, is_inside, name_of
from profiler.identity.hierarchy import Hierarchy
from profiler.identity.model import Facts, Identity, Source, bounded
from profiler.identity.naming import Place, Pods, container_identity, pod_identity
from profiler.identity.oci import STATE_ROOTS, StateStore
from profiler.identity.runtimes import version_of
from profiler.identity.storage import ContainerStore
from profiler.identity.systemd import invocation_of
from profiler.identity.watching import StateWatch

__all__ = ["GRACE_S", "Resolver"]

# A runtime makes the cgroup first and writes its state some milliseconds later.
GRACE_S = 2.0
_KEPT = 8192
# Controllers of cgroup v1 in which a container has a cgroup of its own, the surest first.
_LEGACY = ("name=systemd", "memory", "pids", "cpu", "devices", "freezer")

Key = TypeVar("Key")
Value = TypeVar("Value")


class Resolver:
    """Names workloads of the host whose file system is at *root*.

    Nothing that a host or a container holds makes it raise: what cannot be read makes an identity
    `pending` (ask again) or, two seconds after the first question, `unresolved`, with a reason.
    *clock* counts those seconds. Between `watch` and `close` a thread reads what runtimes write.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        inventory: Pods | None = None,
        cluster: str | None = None,
        *,
        host_name: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.hierarchy = Hierarchy(root)
        self._root = root
        self._place = Place(cluster, inventory)
        self._host_name = bounded(host_name or os.uname().nodename)
        self._clock = clock
        self._grace_s = GRACE_S
        self._states = StateStore(root, self.hierarchy.id_of)
        self._storage = ContainerStore(root)
        self._engines: OrderedDict[str, list[Facts]] = OrderedDict()
        self._commands: dict[str, Identity] = {}
        self._first_asked: OrderedDict[int, float] = OrderedDict()
        self._watching: StateWatch | None = None
        self._lock = threading.RLock()

    def resolve(
        self, cgroup_path: str | None, *, cgroup_id: int, mntns: int, pid: int | None = None
    ) -> Identity:
        """Return whose cgroup *cgroup_id* is, in the mount namespace *mntns*.

        *cgroup_path* is its path in the unified hierarchy, looked up if None. *pid* is one of its
        processes: it is asked only where the path says nothing, and may be gone.
        """
        with self._lock:
            return self._resolve(cgroup_path, cgroup_id, mntns, pid)

    def _resolve(
        self, cgroup_path: str | None, cgroup_id: int, mntns: int, pid: int | None
    ) -> Identity:
        path = self._path(cgroup_path, cgroup_id, pid)
        if path is None:
            gone = f"cgroup {cgroup_id} is gone and its path was never seen"
            return self._graced(self._cgroup(f"#{cgroup_id}", cgroup_id, gone), cgroup_id)
        if (command := self._command(path)) is not None:
            return command
        name, sources = self._container(path, cgroup_id)
        if name.kind in ("root", "unit", "cgroup") and pid is not None:
            name, sources = self._legacy(pid, mntns) or (name, sources)
        identity = self._identity(name, sources, path, cgroup_id)
        return self._graced(self._versioned(identity), cgroup_id)

    def register_command(self, cgroup_path: str, argv: Sequence[str | bytes], run_id: str) -> None:
        """Say that *cgroup_path* and all below it is run *run_id* of the command *argv*."""
        program = os.fsencode(argv[0]) if argv else b""
        name = program.rstrip(b"/").rpartition(b"/")[2] or program
        self._commands["/" + cgroup_path.strip("/")] = Identity(
            kind="Command",
            name=bounded(os.fsdecode(name)) or "_",
            runtime_id=bounded(run_id),
            source="command",
            state="resolved",
            cluster=self._place.cluster,
        )

    def namespace_labels(self, namespace: str | None) -> Mapping[str, str] | None:
        """Return the labels of *namespace*; None where nobody told of it."""
        inventory = self._place.inventory
        if inventory is None or namespace is None:
            return None
        return inventory.namespace_labels(namespace)

    def prefetch(self, container_id: str | None = None) -> None:
        """Read what there is of *container_id*, or of every container, while it is there."""
        with self._lock:
            self._prefetch(container_id)

    def settle(self) -> None:
        """Wait for no better names from now on: what is known of each now is its name."""
        self._grace_s = 0.0

    def watch(self) -> None:
        """Read from now on what a runtime writes of a container, as soon as it is written."""
        self._watching = StateWatch(self._root, STATE_ROOTS, self._written)
        self._watching.start()

    def close(self) -> None:
        """End what `watch` began."""
        if self._watching is not None:
            self._watching.close()
            self._watching = None

    def _written(self, directory: Path) -> None:
        with self._lock:
            found = self._states.load(directory)
            if found is not None:
                self._of_engines(found.container_id, found.bundle)

    def _prefetch(self, container_id: str | None) -> None:
        if container_id is not None:
            found = self._states.of_id(container_id)
            self._of_engines(container_id, *(one.bundle for one in found[:1]))
            return
        self._states.scan()
        for known, bundle in self._states.bundles().items():
            if known not in self._engines:
                self._of_engines(known, bundle)

    def _path(self, path: str | None, cgroup_id: int, pid: int | None) -> str | None:
        if path is None:
            path = self.hierarchy.path_of(cgroup_id)
        if path is None and pid is not None:
            unified = self.hierarchy.of_process(pid).unified
            # The process may have been moved: what it says counts if the id agrees.
            is_its = unified is not None and self.hierarchy.id_of(unified) == cgroup_id
            path = unified if is_its else None
        return None if path is None else "/" + path.removesuffix(" (deleted)").strip("/")

    def _command(self, path: str) -> Identity | None:
        inside = [cgroup for cgroup in self._commands if is_inside(path, cgroup)]
        return self._commands[max(inside, key=len)] if inside else None

    def _container(self, path: str, cgroup_id: int) -> tuple[CgroupName, list[Facts]]:
        """Return what the path names, and what is known of it where that is a container.

        What a runtime declares goes before what a path looks like: a container's cgroup may be
        called anything.
        """
        name = name_of(path)
        declared = self._current(self._states.of_cgroup(path), path, cgroup_id)
        if name.owner is not None:
            # What was declared before the cgroup was there could have been made by the user since.
            declared = [facts for facts in declared if facts.cgroup_id is not None]
        if declared:
            first = declared[0]
            cgroup = first.cgroup_path or path
            engine = name_of(cgroup).engine
            name = CgroupName("container", first.container_id, cgroup, name.pod_uid, engine)
            return name, [first, *self._of_engines(first.container_id, first.bundle)]
        if name.kind != "container" or name.owner is not None:
            return name, []
        states = self._current(self._states.of_id(name.name), path, cgroup_id)[:1]
        return name, [*states, *self._of_engines(name.name, *(one.bundle for one in states))]

    def _current(self, found: Iterable[Facts], path: str, cgroup_id: int) -> list[Facts]:
        """Return those of *found* that can be meant by this very cgroup.

        A container that declares another cgroup is another one, whatever the path is called; one
        that had this path, or the one above it, under another id came before.
        """
        return [facts for facts in found if self._is_current(facts, path, cgroup_id)]

    def _is_current(self, facts: Facts, path: str, cgroup_id: int) -> bool:
        if facts.cgroup_path is None:
            return True
        if not is_inside(path, facts.cgroup_path):
            return False
        is_own = path == facts.cgroup_path
        now = cgroup_id if is_own else self.hierarchy.id_of(facts.cgroup_path)
        return facts.cgroup_id is None or now in (None, facts.cgroup_id)

    def _legacy(self, pid: int, mntns: int) -> tuple[CgroupName, list[Facts]] | None:
        """Return the container that cgroup v1 says *pid* is in, on hosts where only v1 knows it."""
        if self.hierarchy.mode == "unified" or mntns == self.hierarchy.mount_namespace_of(1):
            return None
        legacy = self.hierarchy.of_process(pid).legacy
        for controller in _LEGACY:
            name = name_of(legacy.get(controller, "/"))
            if name.kind != "container":
                continue
            if name.owner is not None:
                return name, []
            states = [one for one in self._states.of_id(name.name) if one.cgroup_id is None][:1]
            return name, [*states, *self._of_engines(name.name, *(one.bundle for one in states))]
        return None

    def _of_engines(self, container_id: str, bundle: str | None = None) -> list[Facts]:
        """Return what container engines keep of *container_id*; what was once read is kept."""
        task = containerd.task_of(self._root, container_id)
        container = docker.container_of(self._root, container_id)
        fresh = [facts for facts in (task, container) if facts is not None]
        fresh += self._storage.container_of(container_id, bundle)
        if fresh:
            self._engines[container_id] = fresh
            self._engines.move_to_end(container_id)
            _trim(self._engines)
        return self._engines.get(container_id, [])

    def _identity(
        self, name: CgroupName, sources: Sequence[Facts], path: str, cgroup_id: int
    ) -> Identity:
        match name.kind:
            case "container":
                return container_identity(self._place, name, sources)
            case "pod":
                return pod_identity(self._place, name, f"{bounded(name.name)}#{cgroup_id}")
            case "unit" | "session":
                return self._unit(name, path, cgroup_id)
            case "root":
                return self._named("Host", self._host_name, "host", "cgroup")
            case "cgroup":
                gone = self.hierarchy.id_of(path) != cgroup_id
                reason = f"cgroup `{bounded(path)}` is gone and no runtime named it"
                return self._cgroup(path, cgroup_id, reason if gone else None)

    def _unit(self, name: CgroupName, path: str, cgroup_id: int) -> Identity:
        invocation = None
        if name.kind == "unit" and name.owner is None:
            invocation = invocation_of(self._root, name.name)
        run = invocation or f"{bounded(path)}#{cgroup_id}"
        kind = "Session" if name.kind == "session" else "Unit"
        return self._named(kind, name.name, run, "systemd")

    def _named(self, kind: str, name: str, runtime_id: str, source: Source) -> Identity:
        return Identity(
            kind, bounded(name), runtime_id, source, "resolved", cluster=self._place.cluster
        )

    def _cgroup(self, path: str, cgroup_id: int, reason: str | None) -> Identity:
        identity = self._named("Cgroup", path, f"{bounded(path)}#{cgroup_id}", "cgroup")
        return replace(identity, state="unresolved", reason=reason) if reason else identity

    def _versioned(self, identity: Identity) -> Identity:
        if identity.runtime is None or self._root != Path("/"):
            return identity
        return replace(identity, runtime_version=version_of(identity.runtime))

    def _graced(self, identity: Identity, cgroup_id: int) -> Identity:
        """Return *identity* as what may still change while a runtime may say more.

        It is pending where it may become something else, and else awaits its runtime.
        """
        first = self._first_asked.setdefault(cgroup_id, self._clock())
        _trim(self._first_asked)
        if self._clock() - first >= self._grace_s:
            return identity
        if _may_change(identity):
            return replace(identity, state="pending")
        has_run = identity.container_id is None or identity.runtime is not None
        return identity if has_run else replace(identity, awaits_runtime=True)


def _may_change(identity: Identity) -> bool:
    if identity.state != "resolved" or identity.kind == "Cgroup":
        return True
    # With systemd's driver a container may be in a scope whose name only its state explains.
    is_scope = identity.name.endswith(".scope") and not identity.name.endswith("init.scope")
    return identity.kind == "Unit" and is_scope


def _trim(kept: OrderedDict[Key, Value]) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)
