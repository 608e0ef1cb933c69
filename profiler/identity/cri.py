"""Pods by the annotations that containerd and CRI-O write into each container's OCI bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from profiler.identity.cgroups import CgroupName, name_of
from profiler.identity.model import Facts, bounded, bounded_mapping, digest_of
from profiler.identity.reading import parse_object

__all__ = [
    "SANDBOX",
    "PodFacts",
    "are_from_kubelet",
    "known_annotations",
    "pod_of",
    "pod_of_labels",
]

# What kubelet and cAdvisor call the container that only holds the pod's namespaces open.
SANDBOX = "POD"

_CONTAINERD = {
    "namespace": "io.kubernetes.cri.sandbox-namespace",
    "pod": "io.kubernetes.cri.sandbox-name",
    "uid": "io.kubernetes.cri.sandbox-uid",
    "container": "io.kubernetes.cri.container-name",
    "type": "io.kubernetes.cri.container-type",
    "image": "io.kubernetes.cri.image-name",
}
_CRIO = {
    "namespace": "io.kubernetes.pod.namespace",
    "pod": "io.kubernetes.pod.name",
    "uid": "io.kubernetes.pod.uid",
    "container": "io.kubernetes.container.name",
    "type": "io.kubernetes.cri-o.ContainerType",
    "image": "io.kubernetes.cri-o.ImageName",
    "reference": "io.kubernetes.cri-o.ImageRef",
    "labels": "io.kubernetes.cri-o.Labels",
}
_OTHERS = ("nerdctl/name",)
_KNOWN = frozenset((*_CONTAINERD.values(), *_CRIO.values(), *_OTHERS))
_LABELS_LIMIT = 64 << 10
_KUBERNETES_NAMESPACE = "k8s.io"  # the namespace of containerd in which the kubelet's are
_STORAGE_PLACE = re.compile(r"/[a-z0-9]+-containers/[^/]+/userdata/?$")
_CONTAINERD_PLACE = re.compile(
    r"/(?:io\.containerd\.runtime\.v2\.task|run/containerd/runc)/([^/]+)/"
)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """Which pod and container of it a container is."""

    namespace: str
    pod: str
    uid: str | None = None
    container: str | None = None
    is_sandbox: bool = False
    image: str | None = None
    image_digest: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


def known_annotations(annotations: object) -> dict[str, str]:
    """Return those of *annotations* that this package reads, bounded; the others are dropped."""
    if not isinstance(annotations, Mapping):
        return {}
    known = {
        key: value
        for key, value in annotations.items()
        if key in _KNOWN and isinstance(value, str) and value
    }
    labels = known.pop(_CRIO["labels"], "")
    kept = {_CRIO["labels"]: labels} if 0 < len(labels) <= _LABELS_LIMIT else {}
    return bounded_mapping(known) | kept


def are_from_kubelet(name: CgroupName, facts: Facts) -> bool:
    """Return whether the annotations in *facts* can be the kubelet's.

    `docker run`, `podman run` and `ctr run` write into a bundle whatever annotation their caller
    asks for, podman even over its own: what these engines started names no pod. A bundle that no
    known engine made is its author's, who had to be root to give it to the runtime.
    """
    engine, places = name.engine, [place for place in (facts.place, facts.bundle) if place]
    if facts.cgroup_path is not None and engine is None:
        engine = name_of(facts.cgroup_path).engine
    if name.owner is not None or engine in ("docker", "podman"):
        return False
    if any(_STORAGE_PLACE.search(place) for place in places):
        return engine == "crio"
    namespaces = {_containerd_namespace(place) for place in places} - {None}
    is_docker = any("/runtime-runc/" in place for place in places)
    return not is_docker and namespaces <= {_KUBERNETES_NAMESPACE}


def pod_of(name: CgroupName, facts: Facts) -> PodFacts | None:
    """Return the pod that *facts* name; None if they name none that is to be believed.

    Each engine is asked in its own dialect only: a pod's author chooses annotations too, and
    neither engine writes over those of the other.
    """
    if not are_from_kubelet(name, facts):
        return None
    if name.engine == "crio":
        return _read(facts, _CRIO)
    if name.engine == "containerd":
        return _read(facts, _CONTAINERD)
    return _read(facts, _CONTAINERD) or _read(facts, _CRIO)


def pod_of_labels(name: CgroupName, facts: Facts) -> PodFacts | None:
    """Return the pod that labels under Docker name, as cri-dockerd sets them.

    Anybody may set the same labels with `docker run`, so the uid among them must be the one in
    the cgroup's path, which the kubelet chose.
    """
    labels = facts.labels
    pod, namespace = labels.get(_CRIO["pod"]), labels.get(_CRIO["namespace"])
    uid = labels.get(_CRIO["uid"])
    if not pod or not namespace or uid is None or uid != name.pod_uid:
        return None
    is_sandbox = labels.get("io.kubernetes.docker.type") == "podsandbox"
    container = SANDBOX if is_sandbox else labels.get(_CRIO["container"])
    return PodFacts(namespace, pod, uid, container, is_sandbox)


def _read(facts: Facts, keys: Mapping[str, str]) -> PodFacts | None:
    values = {word: facts.annotations.get(key) for word, key in keys.items()}
    pod, namespace = values["pod"], values["namespace"]
    if not pod or not namespace:
        return None
    is_sandbox = values["type"] == "sandbox"
    image = values["image"]
    labels = parse_object(values.get("labels") or "") or {}
    return PodFacts(
        namespace=namespace,
        pod=pod,
        uid=values["uid"],
        container=SANDBOX if is_sandbox else values["container"],
        is_sandbox=is_sandbox,
        image=bounded(image) if image else None,
        image_digest=digest_of(values.get("reference")) or digest_of(image),
        labels={
            key: value
            for key, value in bounded_mapping(labels).items()
            if not key.startswith("io.kubernetes.")
        },
    )


def _containerd_namespace(place: str) -> str | None:
    """Return the namespace of containerd that a state or task directory lies in."""
    found = _CONTAINERD_PLACE.search(place)
    return found[1] if found else None
