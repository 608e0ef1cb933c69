"""One pod of an inventory: its owner, its containers and what they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from profiler.identity.kubernetes import ContainerObject, PodObject
from profiler.identity.model import ContainerKind, bounded, digest_of
from profiler.identity.owners import Owner, Owners, stable_labels

__all__ = ["Pod", "PodContainer", "pod_from"]

# A static pod has another uid on its node than its mirror in the API: the hash of its file.
_STATIC_UID = "kubernetes.io/config.hash"
_PATH = 4096


@dataclass(frozen=True, slots=True)
class PodContainer:
    """One container as the API server has it; the digest is that of the image that runs.

    `host_ports` are those of the host that lead to it.
    """

    kind: ContainerKind
    image: str | None
    image_digest: str | None
    host_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. `uids` holds the API's and, for a static pod, the node's.

    `host_paths` are those of its `hostPath` volumes, as its spec spells them.
    """

    namespace: str
    name: str
    uids: tuple[str, ...]
    owner: Owner
    labels: Mapping[str, str] = field(hash=False)
    containers: Mapping[str, PodContainer] = field(hash=False)
    container_ids: Mapping[str, str] = field(hash=False)
    host_network: bool = False
    node: str | None = None
    host_paths: tuple[str, ...] = ()


def pod_from(item: PodObject, owners: Owners) -> Pod:
    """Return the pod that *item* describes."""
    metadata = item.metadata
    uids = (metadata.uid, metadata.annotations.get(_STATIC_UID))
    return Pod(
        namespace=bounded(metadata.namespace or ""),
        name=bounded(metadata.name),
        uids=tuple(bounded(uid) for uid in uids if uid),
        owner=owners.of_pod(metadata),
        labels=stable_labels(metadata.labels),
        containers=_containers(item),
        container_ids={
            status.container_id.rpartition("//")[2]: status.name
            for status in item.status.statuses
            if status.container_id
        },
        host_network=bool(item.spec.host_network),
        node=item.spec.node_name,
        host_paths=tuple(
            sorted(
                {bounded(one.host_path.path, _PATH) for one in item.spec.volumes if one.host_path}
            )
        ),
    )


def _containers(item: PodObject) -> dict[str, PodContainer]:
    digests = {status.name: digest_of(status.image_id) for status in item.status.statuses}
    kinds: list[tuple[ContainerKind, ContainerObject]] = [
        *(("main", one) for one in item.spec.containers),
        *(
            # Since Kubernetes 1.28 an init container that restarts runs beside the main ones.
            ("sidecar" if one.restart_policy == "Always" else "init", one)
            for one in item.spec.init_containers
        ),
        *(("ephemeral", one) for one in item.spec.ephemeral_containers),
    ]
    return {
        one.name: PodContainer(
            kind,
            bounded(one.image) if one.image else None,
            digests.get(one.name) or digest_of(one.image),
            tuple(sorted({port.host_port for port in one.ports if port.host_port})),
        )
        for kind, one in kinds
    }
