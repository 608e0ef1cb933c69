"""What the cluster is known to have now: an inventory that changes, with addresses by time."""

from __future__ import annotations

import json
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from profiler.cluster.intervals import Intervals
from profiler.cluster.namespaces import Namespaces
from profiler.cluster.outside import Outside
from profiler.identity.addresses import (
    addresses_of_endpoints,
    addresses_of_nodes,
    addresses_of_pods,
    addresses_of_services,
    service_of,
)
from profiler.identity.kubernetes import (
    Controller,
    EndpointSlice,
    Namespace,
    Node,
    PodObject,
    Service,
    packed,
)
from profiler.identity.model import bounded_mapping
from profiler.identity.owners import Owner, Owners
from profiler.identity.pods import Pod, pod_from

__all__ = ["ClusterStore"]

_Name = tuple[str, str]  # namespace and name
# Of pods that are gone so many are kept, and of containers that their pods have started anew: what
# they did may be asked about late.
_GONE = 4096
_CONTROLLERS = ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


class ClusterStore:
    """Answers as an `Inventory` does. Told by threads of their own what the API server says.

    *source* is what its rows name: `apiserver` or `kubelet`. `version` grows with each change.
    """

    def __init__(self, source: str = "apiserver") -> None:
        self.version = 0
        self.is_complete = False
        self._source = source
        self._lock = threading.RLock()
        self._controllers: dict[tuple[str, str, str], Controller] = {}
        self.owners = Owners(self._controllers)
        # There may be many thousands: they are kept as text, a tenth of what objects take.
        self._pods: dict[_Name, bytes] = {}
        self._gone: OrderedDict[str, Pod] = OrderedDict()  # by uid
        self._by_uid: dict[str, _Name] = {}
        self._by_container: dict[str, tuple[str, str]] = {}  # uid and container's name
        self._replaced: OrderedDict[str, None] = OrderedDict()  # containers that their pods had
        self._services: dict[_Name, Service] = {}
        self._slices: dict[_Name, dict[str, EndpointSlice]] = {}  # by service
        self._service_of_slice: dict[_Name, _Name] = {}
        self._answering: dict[bytes, set[_Name]] = {}  # services by what their slices have
        self._answers: dict[_Name, set[bytes]] = {}  # and the other way round
        self._addresses = Intervals(source)
        self._outside = Outside(self._addresses)
        self._namespaces = Namespaces()
        self._names: dict[str, set[_Name]] = {}

    # --- what the API server says --------------------------------------------------------------

    def take_part(self, kind: str, items: Iterable[BaseModel], now_ns: int) -> set[_Name]:
        """Take *items* as a part of a list of *kind*; return the names that are in it."""
        models: list[Any] = list(items)
        with self._lock:
            for item in models:
                self._put(kind, item, now_ns)
            self.version += 1
        return {_name(item) for item in models}

    def retain(self, kind: str, names: set[_Name], now_ns: int) -> None:
        """Take *names* as all objects of *kind* that there are now: its list is at its end."""
        with self._lock:
            for name in self._names.get(kind, set()) - names:
                self._delete(kind, name, now_ns)
            self.version += 1

    def put(self, kind: str, item: BaseModel, now_ns: int) -> None:
        """Take one object that is new or changed."""
        with self._lock:
            self._put(kind, item, now_ns)
            self.version += 1

    def delete(self, kind: str, item: BaseModel, now_ns: int) -> None:
        """Take one object as gone, in its last state: it may never have been seen before."""
        with self._lock:
            self._put(kind, item, now_ns)
            self._delete(kind, _name(item), now_ns)
            self.version += 1

    def _put(self, kind: str, item: Any, now_ns: int) -> None:
        name = _name(item)
        self._names.setdefault(kind, set()).add(name)
        match item:
            case PodObject():
                self._put_pod(name, item, now_ns)
            case Node():
                rows = list(addresses_of_nodes([item]))
                changed = self._set((kind, name), rows, item.metadata.creation_timestamp, now_ns)
                self._reconsider(changed, now_ns)
            case Service():
                self._outside.put(name, item, now_ns)
                self._services[name] = item
                self._set_service(name, now_ns)
            case Namespace():
                self._namespaces.put(name[1], bounded_mapping(item.metadata.labels))
            case EndpointSlice():
                self._put_slice(name, item, now_ns)
            case Controller():
                self._controllers[name[0], kind, name[1]] = item

    def _put_pod(self, name: _Name, item: PodObject, now_ns: int) -> None:
        before = self._pod_object(name)
        if before is not None and before.metadata.uid != item.metadata.uid:
            self._forget_pod(name, now_ns)  # its namesake: a StatefulSet's pods keep their names
            before = None
        text = item.model_dump_json(by_alias=True, exclude_defaults=True)
        self._pods[name] = zlib.compress(text.encode(), 1)
        pod = pod_from(item, self.owners)
        for uid in pod.uids:
            self._by_uid[uid] = name
            self._gone.pop(uid, None)
        if before is not None:
            self._replace(pod_from(before, self.owners).container_ids.keys())
        if pod.uids:
            for container_id, container in pod.container_ids.items():
                self._by_container[container_id] = pod.uids[0], container
                self._replaced.pop(container_id, None)
        since = item.status.start_time or item.metadata.creation_timestamp
        rows = list(addresses_of_pods([(pod, item)]))
        self._reconsider(self._set(("Pod", name), rows, since, now_ns), now_ns)

    def _replace(self, container_ids: Iterable[str]) -> None:
        """Count *container_ids* as over: a pod that crashes for months has thousands of them."""
        for container_id in container_ids:
            self._replaced[container_id] = None
            self._replaced.move_to_end(container_id)
        while len(self._replaced) > _GONE:
            self._by_container.pop(self._replaced.popitem(last=False)[0], None)

    def _pod_object(self, name: _Name) -> PodObject | None:
        text = self._pods.get(name)
        return None if text is None else PodObject.model_validate(json.loads(zlib.decompress(text)))

    def _put_slice(self, name: _Name, item: EndpointSlice, now_ns: int) -> None:
        service = service_of(item)
        before = self._service_of_slice.pop(name, None)
        if before is not None and before != service:
            self._slices[before].pop(name[1], None)
            self._set_service(before, now_ns)
        if service is not None:
            self._service_of_slice[name] = service
            self._slices.setdefault(service, {})[name[1]] = item
            self._set_service(service, now_ns)

    def _delete(self, kind: str, name: _Name, now_ns: int) -> None:
        self._names.get(kind, set()).discard(name)
        match kind:
            case "Pod":
                self._forget_pod(name, now_ns)
            case "Node":
                self._reconsider(self._set((kind, name), (), None, now_ns), now_ns)
            case "Namespace":
                self._namespaces.delete(name[1])
            case "Service":
                self._outside.put(name, None, now_ns)
                self._services.pop(name, None)
                self._set_service(name, now_ns)
            case "EndpointSlice":
                service = self._service_of_slice.pop(name, None)
                if service is not None:
                    self._slices[service].pop(name[1], None)
                    self._set_service(service, now_ns)
            case _:
                self._controllers.pop((name[0], kind, name[1]), None)

    def _forget_pod(self, name: _Name, now_ns: int) -> None:
        item = self._pod_object(name)
        if item is None:
            return
        del self._pods[name]
        pod = pod_from(item, self.owners)
        for uid in pod.uids:
            self._by_uid.pop(uid, None)
            self._gone[uid] = pod
        while len(self._gone) > _GONE:
            _, oldest = self._gone.popitem(last=False)
            for container_id in oldest.container_ids:
                self._by_container.pop(container_id, None)
        self._reconsider(self._set(("Pod", name), (), None, now_ns), now_ns)

    # --- addresses -----------------------------------------------------------------------------

    def _set(
        self, source: tuple[str, _Name], rows: Iterable[Any], since_ns: int | None, now_ns: int
    ) -> set[bytes]:
        return self._addresses.set(source, rows, since_ns=since_ns, now_ns=now_ns)

    def _reconsider(self, addresses: Iterable[bytes], now_ns: int) -> None:
        """Say again whose the endpoints are that became, or ceased to be, a pod's or a node's."""
        for service in {one for addr in addresses for one in self._answering.get(addr, ())}:
            self._set_service(service, now_ns)

    def _set_service(self, name: _Name, now_ns: int) -> None:
        service, slices = self._services.get(name), list(self._slices.get(name, {}).values())
        if not slices:
            self._slices.pop(name, None)
        theirs = {addr for item in slices for addr in _endpoints(item)}
        self._remember_answers(name, theirs)
        whose = self._addresses.kinds(theirs)
        rows = [
            *addresses_of_services([service] if service else [], slices),
            *addresses_of_endpoints([_settled(item, whose) for item in slices], whose),
        ]
        since = [
            item.metadata.creation_timestamp
            for item in (service, *slices)
            if item is not None and item.metadata.creation_timestamp is not None
        ]
        self._set(("Service", name), rows, min(since, default=None), now_ns)

    def _remember_answers(self, service: _Name, addresses: set[bytes]) -> None:
        before = self._answers.pop(service, set())
        for addr in before - addresses:
            self._answering[addr].discard(service)
            if not self._answering[addr]:
                del self._answering[addr]
        for addr in addresses - before:
            self._answering.setdefault(addr, set()).add(service)
        if addresses:
            self._answers[service] = addresses

    def take_addresses(self) -> list[dict[str, Any]]:
        """Return rows of table `addresses` for what changed since the last time.

        A row replaces an earlier one of the same address, kind, name and beginning.
        """
        with self._lock:
            return self._addresses.take()

    def resolved(
        self, resolver: bytes, qname: bytes, answers: Iterable[bytes], now_ns: int
    ) -> None:
        """Take what *resolver*, where it is the cluster's, answered for *qname*; see `dns.Reply`.

        A workload may choose whom it trusts itself, and this counts for all of them.
        """
        with self._lock:
            is_ours = self._addresses.is_resolver(resolver)
            if is_ours and self._outside.resolved(qname, answers, now_ns):
                self.version += 1

    def take_namespaces(self) -> set[str]:
        """Return the namespaces whose labels are new or changed since the last time."""
        with self._lock:
            return self._namespaces.take()

    # --- as an inventory -----------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """It may come to know more."""
        return True

    @property
    def lacks(self) -> str:
        """What there is to say of a pod that is not here."""
        who = "the API server" if self._source == "apiserver" else "the kubelet"
        return f"{who} has no such pod" if self.is_complete else f"{who} has not told of the pod"

    def pod(self, namespace: str, name: str) -> Pod | None:
        """Return the pod of this name."""
        with self._lock:
            item = self._pod_object((namespace, name))
            return None if item is None else pod_from(item, self.owners)

    def pod_of_uid(self, uid: str) -> Pod | None:
        """Return the pod with this uid, also one that is gone."""
        with self._lock:
            if (name := self._by_uid.get(uid)) is not None:
                return self.pod(*name)
            return self._gone.get(uid)

    def pod_of_container(self, container_id: str) -> tuple[Pod, str] | None:
        """Return the pod that runs the container with this id, and the container's name."""
        with self._lock:
            if (found := self._by_container.get(container_id)) is None:
                return None
            uid, container = found
            pod = self.pod_of_uid(uid)
            return None if pod is None else (pod, container)

    def namespace_labels(self, name: str) -> Mapping[str, str] | None:
        """Return the labels of a namespace; None where nothing was told of it."""
        with self._lock:
            return self._namespaces.labels(name)

    def owner_of_later_pod(self, namespace: str, name: str) -> Owner | None:
        """Return the owner of a pod that is not known yet but whose ReplicaSet is."""
        with self._lock:
            return self.owners.by_pod_name(namespace, name)


def _name(item: Any) -> _Name:
    return item.metadata.namespace or "", item.metadata.name


def _endpoints(item: EndpointSlice) -> Iterable[bytes]:
    if item.address_type == "FQDN":
        return ()
    return [packed(text) for endpoint in item.endpoints for text in endpoint.addresses]


def _settled(item: EndpointSlice, whose: Mapping[bytes, Any]) -> EndpointSlice:
    """Return *item* without the addresses of pods that are still to come: they are not outside."""
    endpoints = [
        one
        for one in item.endpoints
        if one.target_ref is None
        or one.target_ref.kind != "Pod"
        or item.address_type == "FQDN"
        or all(packed(text) in whose for text in one.addresses)
    ]
    if len(endpoints) == len(item.endpoints):
        return item
    return item.model_copy(update={"endpoints": endpoints})
