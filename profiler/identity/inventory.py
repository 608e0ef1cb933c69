"""The inventory: what `kubectl get ... -A -o json` says of pods, their owners and addresses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ethogram.errors import UsageError
from profiler.identity.addresses import Address, addresses_of
from profiler.identity.kubernetes import (
    Controller,
    EndpointSlice,
    Node,
    ObjectList,
    PodObject,
    Service,
    TypeMeta,
)
from profiler.identity.model import bounded
from profiler.identity.owners import Owner, Owners
from profiler.identity.pods import Pod, pod_from

__all__ = ["COMMAND", "Inventory"]

COMMAND = "kubectl get pods,services,endpointslices,nodes,namespaces,replicasets -A -o json"

Model = TypeVar("Model", bound=BaseModel)

_HINT = f"write it with `{COMMAND}`"
_LIMIT_BYTES = 1 << 30

# By API group, so that another API's kind of the same name, such as Knative's Service, is not it.
_MODELS: Mapping[tuple[str, str], type[BaseModel]] = {
    ("", "Pod"): PodObject,
    ("", "Service"): Service,
    ("", "Node"): Node,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("apps", "ReplicaSet"): Controller,
    ("apps", "Deployment"): Controller,
    ("apps", "StatefulSet"): Controller,
    ("apps", "DaemonSet"): Controller,
    ("batch", "Job"): Controller,
    ("batch", "CronJob"): Controller,
}


@dataclass(frozen=True, slots=True)
class Inventory:
    """Pods by name, uid and container, owners of pods that came later, and whose address is whose.

    It is a snapshot: a pod that is not in it is not thereby unknown to the cluster.
    """

    pods: tuple[Pod, ...]
    owners: Owners
    address_rows: tuple[Address, ...]
    _by_name: Mapping[tuple[str, str], Pod] = field(repr=False)
    _by_uid: Mapping[str, Pod] = field(repr=False)
    _by_container: Mapping[str, tuple[Pod, str]] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Inventory:
        """Return the inventory in *path*; UsageError names the file, the item and the field."""
        objects = _objects(path, _read(path))
        return cls.of(objects)

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

    def addresses(self) -> tuple[Address, ...]:
        """Return whose each address is, sorted, without repetitions."""
        return self.address_rows


def _read(path: Path) -> object:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UsageError(f"inventory `{path}` is larger than 1 GiB", hint=_HINT)
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"inventory `{path}` cannot be read: {reason}", hint=_HINT) from error
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"inventory `{path}` is not JSON: {error}", hint=_HINT) from error


def _objects(path: Path, document: object) -> list[tuple[str, BaseModel]]:
    items = _checked(ObjectList, document, f"inventory `{path}`").items
    objects = (_object(path, index, item) for index, item in enumerate(items))
    return [found for found in objects if found is not None]


def _object(path: Path, index: int, item: object) -> tuple[str, BaseModel] | None:
    where = f"inventory `{path}`: item {index}"
    meta = _checked(TypeMeta, item, where)
    group = meta.api_version.rpartition("/")[0]
    model = _MODELS.get((group, meta.kind))
    if model is None:
        return None
    return meta.kind, _checked(model, item, f"{where} ({meta.kind}{_name_in(item)})")


def _name_in(item: object) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return ""
    parts = [metadata.get("namespace"), metadata.get("name")]
    name = "/".join(part for part in parts if isinstance(part, str))
    return f" {bounded(name, 128)}" if name else ""


def _checked(model: type[Model], item: object, where: str) -> Model:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = _field_path(first["loc"])
        message = bounded(first["msg"][:1].lower() + first["msg"][1:], 200)
        raise UsageError(f"{where}: {at}{message}", hint=_HINT) from error


def _field_path(location: Iterable[int | str]) -> str:
    path = ".".join(str(part) for part in location)
    return f"`{bounded(path, 128)}`: " if path else ""
