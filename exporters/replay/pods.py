"""Pods to admit: whole ones that were handed in, and what a recording knows of its own.

Of a recorded pod just the fields in `KNOWN` are known, and some of those only at times: whoever
asks for another one learns nothing from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.keys import WorkloadKey
from exporters.replay.observations import Observations

__all__ = ["Pod", "pods_of"]

_HOST = {"net": "hostNetwork", "pid": "hostPID", "ipc": "hostIPC"}
_LISTS = {"init": "initContainers", "sidecar": "initContainers", "ephemeral": "ephemeralContainers"}
# What containers have without asking for it, by Docker, containerd and podman.
_USUAL = frozenset(
    f"CAP_{name}"
    for name in (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD"),
        *("NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
# Fields that are always known, and those that only lead to others.
_ALWAYS = frozenset(
    {"metadata", "spec", "labels", "namespace", "ownerReferences", "kind", "name", "containers"}
    | {"initContainers", "ephemeralContainers", "securityContext", "capabilities"}
)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod: *variants* are what it may look like, all of them as far as is known.

    *known* None is a pod that is known whole; else the fields of which something is known.
    *workloads* are the numbers of its containers in the recording, *key* names what is in none.
    """

    variants: tuple[Mapping[str, Any], ...]
    namespace: str
    key: WorkloadKey
    known: frozenset[str] | None = None
    workloads: tuple[int, ...] = ()
    count: int = 1


def pods_of(seen: Observations) -> Iterator[Pod]:
    """Yield the pods that were handed in, then those of the recording, one for each workload."""
    for document in seen.pods:
        yield _whole(document)
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for number, key in seen.keys.items():
        if key.namespace is not None and key.container is not None:
            groups[key.cluster, key.namespace, key.kind, key.name].append(number)
    for numbers in groups.values():
        yield _recorded(numbers, seen)


def _whole(document: Mapping[str, Any]) -> Pod:
    metadata = document.get("metadata") or {}
    namespace = str(metadata.get("namespace") or "default")
    kind, name = "Pod", str(metadata.get("name") or metadata.get("generateName") or "?")
    for owner in metadata.get("ownerReferences") or ():
        kind, name = str(owner.get("kind")), str(owner.get("name"))
        revision = (metadata.get("labels") or {}).get("pod-template-hash")
        if kind == "ReplicaSet" and revision and name.endswith(f"-{revision}"):
            kind, name = "Deployment", name.removesuffix(f"-{revision}")
    key = WorkloadKey(None, namespace, kind, name, None, "none", None)
    return Pod(({**document, "metadata": {"namespace": namespace, **metadata}},), namespace, key)


def _recorded(numbers: Sequence[int], seen: Observations) -> Pod:
    rows = [seen.workloads[number] for number in numbers]
    instances = [list(seen.instances_of(number)) for number in numbers]
    everybody = [instance for some in instances for instance in some]
    known = set(_ALWAYS)
    spec: dict[str, Any] = {"containers": []}
    spec |= _host(everybody, known)
    fields = [_security(some) for some in instances]
    known |= set.intersection(*(names for _, names in fields))
    for row, (context, _) in zip(rows, fields, strict=True):
        container = {"name": row["container"], "securityContext": context}
        container |= {"image": row["image"]} if row["image"] else {}
        spec.setdefault(_LISTS.get(row["container_kind"], "containers"), []).append(container)
    if all(row["image"] for row in rows):
        known.add("image")
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(rows), "spec": spec}
    key = seen.keys[numbers[0]]
    digests = {row["container"]: row["image_digest"] for row in rows if row["image_digest"]}
    return Pod(
        (document, _pinned(document, digests)),
        str(key.namespace),
        key,
        frozenset(known),
        tuple(numbers),
        max(1, *map(len, instances)),
    )


def _metadata(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    labels: dict[str, str] = {}
    for row in rows:
        labels |= {**row["selector"], **row["labels"]}
    kind, name = rows[0]["kind"], rows[0]["name"]
    metadata: dict[str, Any] = {"namespace": rows[0]["namespace"], "labels": labels}
    if kind == "Pod":
        return metadata | {"name": name}
    if kind == "Deployment":
        # As its controller would call it; the number itself stands for any.
        revision = labels.setdefault("pod-template-hash", "recorded")
        kind, name = "ReplicaSet", f"{name}-{revision}"
    return metadata | {"ownerReferences": [{"kind": kind, "name": name}]}


def _host(instances: Sequence[Mapping[str, Any]], known: set[str]) -> dict[str, bool]:
    """Return the namespaces that any instance shared with its host."""
    told = [one["host_namespaces"] for one in instances if one["host_namespaces"] is not None]
    if not told or len(told) < len(instances):
        return {}
    known.update(_HOST.values())
    return {name: True for short, name in _HOST.items() if any(short in each for each in told)}


def _security(instances: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """Return the `securityContext` that *instances* show, and the fields that are known of it."""
    found: dict[str, Any] = {}
    known: set[str] = set()
    flags = {one["no_new_privs"] for one in instances}
    if len(flags) == 1 and None not in flags:
        found["allowPrivilegeEscalation"] = not flags.pop()
        known.add("allowPrivilegeEscalation")
    masks = {one["caps_bounding"] for one in instances}
    if masks and None not in masks:
        have = {name for bit, name in enumerate(CAPABILITIES) if any(m >> bit & 1 for m in masks)}
        if have != set(CAPABILITIES):
            found["privileged"] = False
            known |= {"privileged", "add"}
            added = sorted(name.removeprefix("CAP_") for name in have - _USUAL)
            found["capabilities"] = {"add": added} if added else {}
    if instances and {one["seccomp_mode"] for one in instances} == {0}:
        found["seccompProfile"] = {"type": "Unconfined"}
        known |= {"seccompProfile", "type", "localhostProfile"}
    return found, known


def _pinned(document: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the pod as it is where its images are pinned to the digests that ran."""
    spec = dict(document["spec"])
    for name in ("containers", "initContainers", "ephemeralContainers"):
        if name in spec:
            spec[name] = [_with_digest(each, digests) for each in spec[name]]
    return {**document, "spec": spec}


def _with_digest(container: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    image, digest = container.get("image"), digests.get(container["name"])
    if not image or not digest or "@" in image:
        return dict(container)
    return {**container, "image": f"{image}@{digest}"}
