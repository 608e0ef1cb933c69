"""The inventory: what `kubectl get ... -A -o json` says of pods, their owners and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from profiler.identity.addresses import Address, addresses_of
from profiler.identity.inventory_file import COMMAND, read_objects
from profiler.identity.kubernetes import (
    Controller,
    EndpointSlice,
    Namespace,
    Node,
    PodObject,
    Service,
)
from profiler.identity.model import bounded_mapping
from profiler.identity.owners import Owner, Owners
from profiler.identity.pods import Pod, pod_from

__all__ = ["COMMAND", "Inventory"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Pods by name, uid and container, owners of pods that came later, and whose address is whose.

    It is a snapshot: a pod that is not in it is not thereby unknown to the cluster.
    """

    pods: tuple[Pod, ...]
    owners: Owners
    address_rows: tuple[Address, ...]
    is_live: ClassVar[bool] = False
    lacks: ClassVar[str] = "the pod is not in the inventory"
    _by_name: Mapping[tuple[str, str], Pod] = field(repr=False)
    _by_uid: Mapping[str, Pod] = field(repr=False)
    _by_container: Mapping[str, tuple[Pod, str]] = field(repr=False)
    _namespaces: Mapping[str, Mapping[str, str]] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Inventory:
        """Return the inventory in *path*; UsageError names the file, the item and the field."""
        return cls.of(read_objects(path))

    @classmethod
    def of(cls, objects: Sequence[tuple[str, BaseModel]]) -> Inventory:
        """Return the inventory of *objects*, each with its kind."""
        owners = Owners.of((kind, item) for kind, item in objects if isinstance(item, Controller))
        models = [item for _, item in objects if isinstance(item, PodObject)]
        pods = tuple(pod_from(item, owners) for item in models)
        return cls(
            pods=pods,
            owners=owners,
            address_rows=addresses_of(
                list(zip(pods, models, strict=True)),
                services=[item for _, item in objects if isinstance(item, Service)],
                slices=[item for _, item in objects if isinstance(item, EndpointSlice)],
                nodes=[item for _, item in objects if isinstance(item, Node)],
            ),
            _by_name={(pod.namespace, pod.name): pod for pod in pods},
            _by_uid={uid: pod for pod in pods for uid in pod.uids},
            _by_container={
                container_id: (pod, name)
                for pod in pods
                for container_id, name in pod.container_ids.items()
            },
            _namespaces={
                item.metadata.name: bounded_mapping(item.metadata.labels)
                for _, item in objects
                if isinstance(item, Namespace)
            },
        )

    def pod(self, namespace: str, name: str) -> Pod | None:
        """Return the pod of this name."""
        return self._by_name.get((namespace, name))

    def pod_of_uid(self, uid: str) -> Pod | None:
        """Return the pod with this uid, as the API server or, for a static pod, the node has it."""
        return self._by_uid.get(uid)

    def pod_of_container(self, container_id: str) -> tuple[Pod, str] | None:
        """Return the pod that runs the container with this id, and the container's name."""
        return self._by_container.get(container_id)

    def owner_of_later_pod(self, namespace: str, name: str) -> Owner | None:
        """Return the owner of a pod that is not in the inventory but whose ReplicaSet is."""
        return self.owners.by_pod_name(namespace, name)

    def namespace_labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of a namespace; None where it is not in the inventory."""
        return self._namespaces.get(name)

    def addresses(self) -> tuple[Address, ...]:
        """Return whose each address is, sorted, without repetitions."""
        return self.address_rows
