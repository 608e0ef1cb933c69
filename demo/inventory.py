"""What `kubectl get pods,services,... -A -o json` would print of the demo's cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from demo.oci import Pod

__all__ = ["NODE_ADDRESS", "PlacedPod", "inventory"]

NODE, NODE_ADDRESS = "node-1", "10.77.0.1"
SERVICE_ADDRESS = "10.96.0.80"
Object = dict[str, Any]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PlacedPod:
    """A pod of a Deployment *app*, and where it runs; *replica_set* is its owner's name."""

    pod: Pod
    app: str
    replica_set: str
    address: str
    container_id: str


def inventory(
    namespace: str,
    pods: Iterable[PlacedPod],
    *,
    labels: Labels | None = None,
    node_address: str = NODE_ADDRESS,
    service_address: str = SERVICE_ADDRESS,
) -> Object:
    """Return the List of everything that names *pods*: owners, service, endpoints, node.

    *labels* are those that all pods of the namespace have besides their own.
    """
    placed, more = list(pods), labels or {}
    replica_sets = {each.replica_set: each.app for each in placed}
    items = [
        _object("v1", "Namespace", namespace, labels={"kubernetes.io/metadata.name": namespace}),
        _node(node_address),
        *(_deployment(namespace, app, more) for app in sorted(set(replica_sets.values()))),
        *(_replica_set(namespace, name, app, more) for name, app in sorted(replica_sets.items())),
        *(_pod(each, node_address, more) for each in placed),
        _service(namespace, service_address, more),
        _endpoint_slice(namespace, [each for each in placed if each.app == "checkout"]),
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _object(
    version: str,
    kind: str,
    name: str,
    *,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    owner: tuple[str, str] | None = None,
) -> Object:
    metadata: Object = {"name": name, "labels": dict(labels or {})}
    if namespace:
        metadata["namespace"] = namespace
    if owner:
        owner_kind, owner_name = owner
        reference = {"apiVersion": "apps/v1", "kind": owner_kind, "name": owner_name}
        metadata["ownerReferences"] = [{**reference, "controller": True}]
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _labels(app: str, more: Labels, replica_set: str | None = None) -> dict[str, str]:
    labels = {"app.kubernetes.io/name": app, **more}
    if replica_set:
        labels["pod-template-hash"] = replica_set.rpartition("-")[2]
    return labels


def _node(address: str) -> Object:
    node = _object("v1", "Node", NODE)
    node["status"] = {"addresses": [{"type": "InternalIP", "address": address}]}
    return node


def _deployment(namespace: str, app: str, more: Labels) -> Object:
    labels = _labels(app, more)
    deployment = _object("apps/v1", "Deployment", app, namespace=namespace, labels=labels)
    deployment["spec"] = {"selector": {"matchLabels": labels}}
    return deployment


def _replica_set(namespace: str, name: str, app: str, more: Labels) -> Object:
    labels = _labels(app, more, name)
    owner = ("Deployment", app)
    found = _object("apps/v1", "ReplicaSet", name, namespace=namespace, labels=labels, owner=owner)
    found["spec"] = {"selector": {"matchLabels": labels}}
    return found


def _pod(placed: PlacedPod, node_address: str, more: Labels) -> Object:
    pod = placed.pod
    found = _object(
        "v1",
        "Pod",
        pod.name,
        namespace=pod.namespace,
        labels=_labels(placed.app, more, placed.replica_set),
        owner=("ReplicaSet", placed.replica_set),
    )
    found["metadata"]["uid"] = pod.uid
    ports = [{"containerPort": 80, "protocol": "TCP"}] if placed.app == "checkout" else []
    container = {"name": pod.container, "image": pod.image, "ports": ports}
    found["spec"] = {"nodeName": NODE, "containers": [container]}
    status = {
        "name": pod.container,
        "image": pod.image,
        "containerID": f"containerd://{placed.container_id}",
    }
    found["status"] = {
        "phase": "Running",
        "podIP": placed.address,
        "podIPs": [{"ip": placed.address}],
        "hostIP": node_address,
        "containerStatuses": [status],
    }
    return found


def _service(namespace: str, address: str, more: Labels) -> Object:
    labels = _labels("checkout", more)
    service = _object("v1", "Service", "checkout", namespace=namespace, labels=labels)
    port = {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}
    service["spec"] = {
        "type": "ClusterIP",
        "clusterIP": address,
        "clusterIPs": [address],
        "selector": labels,
        "ports": [port],
    }
    return service


def _endpoint_slice(namespace: str, pods: Iterable[PlacedPod]) -> Object:
    labels = {"kubernetes.io/service-name": "checkout"}
    found = _object(
        "discovery.k8s.io/v1", "EndpointSlice", "checkout-x7k2p", namespace=namespace, labels=labels
    )
    found["addressType"] = "IPv4"
    found["ports"] = [{"name": "http", "port": 80, "protocol": "TCP"}]
    found["endpoints"] = [
        {
            "addresses": [each.address],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": each.pod.name, "namespace": namespace},
        }
        for each in pods
    ]
    return found
