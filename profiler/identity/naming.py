"""From what the sources say of one container to its identity."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from profiler.identity.cgroups import CgroupName
from profiler.identity.cri import SANDBOX, PodFacts, pod_of, pod_of_labels
from profiler.identity.model import Facts, Identity, Source, bounded
from profiler.identity.owners import Owner, looks_replicated
from profiler.identity.pods import Pod

__all__ = ["Place", "Pods", "container_identity", "pod_identity"]

# What an engine makes up when nobody names a container: no name of a workload.
_GENERATED = re.compile(r"[0-9a-f]{64}")


class Pods(Protocol):
    """Whatever knows the pods of a cluster: a file, or the API server.

    `is_live`: it may come to know more. `lacks` says in words that it does not know a pod.
    """

    @property
    def is_live(self) -> bool: ...

    @property
    def lacks(self) -> str: ...

    def pod(self, namespace: str, name: str) -> Pod | None: ...

    def pod_of_uid(self, uid: str) -> Pod | None: ...

    def pod_of_container(self, container_id: str) -> tuple[Pod, str] | None: ...

    def owner_of_later_pod(self, namespace: str, name: str) -> Owner | None: ...

    def namespace_labels(self, name: str) -> Mapping[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """What holds for all containers of one host."""

    cluster: str | None
    inventory: Pods | None


def container_identity(place: Place, name: CgroupName, sources: Sequence[Facts]) -> Identity:
    """Return the identity of container `name.name`, of which *sources* say what they know.

    A pod is named by the runtime's annotations, else by the inventory, which knows containers by
    their id and pods by the uid in the cgroup's path.
    """
    facts = sources[0].filled_from(sources[1:]) if sources else None
    run = _run_of(place, name, facts)
    if name.owner is not None:
        reason = "a container of an ordinary user, who may have written anything about it"
        return replace(run, reason=reason)
    if facts is not None and (said := pod_of(name, facts)) is not None:
        return _in_pod(place, run, said, "cri")
    if facts is not None and (said := pod_of_labels(name, facts)) is not None:
        return _in_pod(place, run, said, "docker")
    inventory = place.inventory
    if inventory is not None and (listed := inventory.pod_of_container(name.name)) is not None:
        pod, container = listed
        said = PodFacts(pod.namespace, pod.name, next(iter(pod.uids), None), container)
        return _in_pod(place, run, said, "inventory")
    if name.pod_uid is not None:
        return _by_uid(place, run, name.pod_uid)
    return _on_its_own(run, facts, sources)


def pod_identity(place: Place, name: CgroupName, runtime_id: str) -> Identity:
    """Return the identity of a cgroup that is a pod's own, above those of its containers."""
    run = Identity("Pod", name.name, runtime_id, "cgroup", "unresolved", cluster=place.cluster)
    identity = _by_uid(place, run, name.name)
    is_known = identity.source == "inventory"
    return replace(identity, state="resolved", reason=None) if is_known else identity


def _run_of(place: Place, name: CgroupName, facts: Facts | None) -> Identity:
    """Return what is known of this run, whatever its workload is called."""
    container_id = bounded(name.name)
    run = Identity(
        kind="Container",
        name=container_id,
        runtime_id=f"{name.owner}/{container_id}" if name.owner else container_id,
        source="cgroup",
        state="unresolved",
        cluster=place.cluster,
        pod_uid=name.pod_uid,
        container_id=container_id,
    )
    if facts is None:
        return run
    return replace(
        run,
        runtime=facts.runtime,
        init_pid=facts.init_pid,
        bundle=facts.bundle,
        image=facts.image,
        image_digest=facts.image_digest,
        labels=facts.labels,
    )


def _in_pod(place: Place, run: Identity, said: PodFacts, source: Source) -> Identity:
    """Return the identity of a container of the pod that *said* names."""
    uid = run.pod_uid or said.uid
    pod = _pod_named(place, said, uid)
    owner = pod.owner if pod else _owner_of_unlisted(place, said)
    listed = pod.containers.get(said.container) if pod and said.container else None
    is_same_pod = pod is not None and (uid is None or uid in pod.uids)
    digest = listed.image_digest if listed and is_same_pod else None
    is_sandbox = said.container in (None, SANDBOX)
    return replace(
        run,
        kind=owner.kind,
        name=owner.name,
        namespace=said.namespace,
        container=said.container,
        container_kind="none" if is_sandbox else listed.kind if listed else "main",
        image=said.image or (listed.image if listed else None) or run.image,
        image_digest=digest or said.image_digest or run.image_digest,
        labels=pod.labels if pod else said.labels,
        selector=owner.selector,
        pod=said.pod,
        pod_uid=uid or (next(iter(pod.uids), None) if pod else None),
        source=source,
        state="resolved",
        reason=owner.reason,
        host_paths=pod.host_paths if pod and is_same_pod else None,
        host_ports=listed.host_ports if listed and is_same_pod else None,
        # What has a name may get a better one, which says the owner and the kind of container.
        awaits_pod=_is_live(place) and ((listed is None and not is_sandbox) or not is_same_pod),
    )


def _is_live(place: Place) -> bool:
    return place.inventory is not None and place.inventory.is_live


def _pod_named(place: Place, said: PodFacts, uid: str | None) -> Pod | None:
    """Return the pod by its uid, or else its namesake: a StatefulSet's pods keep their names."""
    if place.inventory is None:
        return None
    by_uid = place.inventory.pod_of_uid(uid) if uid else None
    return by_uid or place.inventory.pod(said.namespace, said.pod)


def _owner_of_unlisted(place: Place, said: PodFacts) -> Owner:
    """Return the owner of a pod that the inventory, if there is one, does not have."""
    if place.inventory is not None:
        later = place.inventory.owner_of_later_pod(said.namespace, said.pod)
        if later is not None:
            return later
    lacks = "no inventory" if place.inventory is None else place.inventory.lacks
    replica_set = looks_replicated(said.pod)
    likely = f"; its name is as of a pod of ReplicaSet `{replica_set}`" if replica_set else ""
    return Owner("Pod", said.pod, reason=f"owner not known: {lacks}{likely}")


def _by_uid(place: Place, run: Identity, uid: str) -> Identity:
    """Return what the uid of the pod alone tells: the workload, but not which container."""
    pod = place.inventory.pod_of_uid(uid) if place.inventory is not None else None
    if pod is None:
        lacks = f"no inventory has pod uid `{uid}`"
        if place.inventory is not None and place.inventory.is_live:
            lacks = f"{place.inventory.lacks}, uid `{uid}`"
        reason = f"no runtime names the container, and {lacks}"
        return replace(run, pod_uid=uid, reason=reason, awaits_pod=_is_live(place))
    return replace(
        run,
        kind=pod.owner.kind,
        name=pod.owner.name,
        namespace=pod.namespace,
        labels=pod.labels,
        selector=pod.owner.selector,
        pod=pod.name,
        pod_uid=uid,
        source="inventory",
        reason="the inventory has the pod, but no runtime says which container this is",
    )


def _on_its_own(run: Identity, facts: Facts | None, sources: Sequence[Facts]) -> Identity:
    """Return the identity of a container that is in no pod, by the name that its engine has."""
    if facts is None:
        return replace(run, reason="no runtime of this host has the state of this container")
    named = next((source for source in sources if source.name), None)
    if named is not None and named.name:
        return replace(run, name=named.name, source=named.source, state="resolved")
    nerdctl = facts.annotations.get("nerdctl/name")
    if nerdctl:
        return replace(run, name=nerdctl, source="oci", state="resolved")
    if _GENERATED.fullmatch(run.name):
        return replace(run, source="oci", reason="its engine keeps its name where we do not look")
    return replace(run, source="oci", state="resolved")
