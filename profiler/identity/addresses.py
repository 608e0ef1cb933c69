"""Whose an address is: rows of the `addresses` table, from an inventory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from profiler.identity.kubernetes import EndpointSlice, Node, PodObject, Service, packed
from profiler.identity.model import bounded, bounded_mapping
from profiler.identity.pods import Pod

__all__ = [
    "Address",
    "AddressPort",
    "Kind",
    "addresses_of",
    "addresses_of_endpoints",
    "addresses_of_external_name",
    "addresses_of_nodes",
    "addresses_of_pods",
    "addresses_of_services",
    "service_of",
]

_SERVICE_NAME = "kubernetes.io/service-name"
_API_SERVER = ("default", "kubernetes")
_DNS = ("kube-system", "kube-dns")
_FINISHED = ("Succeeded", "Failed")  # their addresses are given to others
# Whoever may make pods there may do what he likes to the nodes; others could claim any address.
_OF_THE_CLUSTER = "kube-system"

Kind = Literal["pod", "service", "node", "apiserver", "dns", "external"]

_SPECIAL: Mapping[tuple[str, str], Kind] = {_API_SERVER: "apiserver", _DNS: "dns"}


@dataclass(frozen=True, slots=True, order=True)
class AddressPort:
    """A port of an address, and the port of the pods behind it: a number where it is known."""

    port: int
    target: str
    protocol: str


_DNS_PORTS = (AddressPort(53, "53", "TCP"), AddressPort(53, "53", "UDP"))


@dataclass(frozen=True, slots=True)
class Address:
    """One address; `pod` is the pod that has it, whose owner is the workload.

    `selector` are the labels that pick the pods which answer: the owner's of a pod, the service's
    own, empty for a service that has endpoints instead. None: no labels pick it. Kind `service`
    or `dns` without them is a node that answers for the service: a pod of it is on the node's
    network.
    """

    addr: bytes
    kind: Kind
    name: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    ports: tuple[AddressPort, ...] = ()
    pod: Pod | None = None
    namespace: str | None = None
    selector: Mapping[str, str] | None = field(default=None, hash=False)

    def row(self, *, valid_from_ns: int, source: str = "inventory") -> dict[str, object]:
        """Return this as a row of the `addresses` table."""
        return {
            "addr": self.addr,
            "netns": None,
            "kind": self.kind,
            "workload": None,
            "name": self.name,
            "labels": dict(self.labels),
            "ports": [
                {"port": port.port, "target": port.target, "protocol": port.protocol}
                for port in self.ports
            ],
            "namespace": self.namespace,
            "owner_kind": None if self.pod is None else self.pod.owner.kind,
            "owner_name": None if self.pod is None else self.pod.owner.name,
            "selector": None if self.selector is None else dict(self.selector),
            "valid_from": valid_from_ns,
            "valid_to": None,
            "source": source,
        }


def addresses_of(
    pods: Sequence[tuple[Pod, PodObject]],
    *,
    services: Sequence[Service],
    slices: Sequence[EndpointSlice],
    nodes: Sequence[Node],
) -> tuple[Address, ...]:
    """Return the addresses of a cluster, sorted.

    A pod on its host's network has no address of its own: there the address is the node's, and
    that of each service which the pod answers for. The service `default/kubernetes` and its
    endpoints are the API server, `kube-system/kube-dns` is the resolver.
    """
    rows = [*addresses_of_nodes(nodes), *addresses_of_pods(pods)]
    whose = {row.addr: row.kind for row in rows}
    rows += [*addresses_of_services(services, slices), *addresses_of_endpoints(slices, whose)]
    # A node may be a service's external address, and answer for it too: these are two rows.
    unique = {(row.addr, row.kind, row.name, row.ports, row.selector is None): row for row in rows}
    return tuple(unique[key] for key in sorted(unique))


def addresses_of_nodes(nodes: Iterable[Node]) -> Iterator[Address]:
    """Yield the internal addresses of *nodes*."""
    for node in nodes:
        for entry in node.status.addresses:
            if entry.type == "InternalIP":
                yield Address(packed(entry.address), "node", bounded(node.metadata.name))


def addresses_of_pods(pods: Iterable[tuple[Pod, PodObject]]) -> Iterator[Address]:
    """Yield the addresses that *pods* have, until they finished."""
    for pod, item in pods:
        if item.status.phase in _FINISHED:
            continue
        ips = {entry.ip for entry in item.status.pod_ips}
        if item.status.pod_ip is not None:
            ips.add(item.status.pod_ip)
        if pod.host_network:
            yield from _node_local_dns(pod, item)
        for ip in ips:
            if pod.host_network:
                yield Address(packed(ip), "node", bounded(pod.node or "_"))
                continue
            name = f"{pod.namespace}/{pod.name}"
            yield Address(
                packed(ip),
                "pod",
                name,
                bounded_mapping(item.metadata.labels),
                pod=pod,
                namespace=pod.namespace,
                selector=pod.owner.selector,
            )


def _node_local_dns(pod: Pod, item: PodObject) -> Iterator[Address]:
    """Yield where *pod* listens if it is of NodeLocal DNSCache: an address that each node has.

    It is a resolver's, which no labels pick: the address is what answers for it, too.
    """
    if pod.namespace != _OF_THE_CLUSTER:
        return
    name = bounded(f"{pod.namespace}/{pod.owner.name}")
    for text in item.spec.local_addresses:
        answers = Address(packed(text), "dns", name, ports=_DNS_PORTS, namespace=pod.namespace)
        yield from (answers, replace(answers, selector={}))


def addresses_of_external_name(service: Service, answers: Iterable[bytes]) -> Iterator[Address]:
    """Yield the addresses *answers* that a resolver gave for *service*, a name outside."""
    metadata = service.metadata
    namespace = metadata.namespace or ""
    name = bounded(f"{namespace}/{metadata.name}")
    for addr in answers:
        yield Address(addr, "external", name, namespace=bounded(namespace))


def addresses_of_services(
    services: Iterable[Service], slices: Sequence[EndpointSlice]
) -> Iterator[Address]:
    """Yield the addresses of *services*, with the ports that *slices* say are behind theirs."""
    behind: dict[tuple[str, str] | None, list[EndpointSlice]] = {}
    for item in slices:
        behind.setdefault(service_of(item), []).append(item)
    for service in services:
        names = (service.metadata.namespace or "", service.metadata.name)
        kind = _SPECIAL.get(names, "service")
        spec = service.spec
        addresses = {*spec.cluster_ips, spec.cluster_ip or "", *spec.external_ips}
        addresses |= {entry.ip or "" for entry in service.status.load_balancer.ingress}
        ports = _ports(service, behind.get(names, []))
        # Every label of it counts: it may well pick one replica of many.
        selector = bounded_mapping(spec.selector)
        for address in addresses - {"", "None"}:
            yield Address(
                packed(address),
                kind,
                bounded("/".join(names)),
                ports=ports,
                namespace=bounded(names[0]),
                selector=selector,
            )


def _ports(service: Service, slices: Sequence[EndpointSlice]) -> tuple[AddressPort, ...]:
    """Return the ports of *service* with the numbers that its endpoints give their targets."""
    found = set()
    for port in service.spec.ports:
        numbers = {
            str(behind.port)
            for item in slices
            for behind in item.ports
            if behind.port
            and (behind.name or "", behind.protocol) == (port.name or "", port.protocol)
        }
        stated = str(port.target_port or port.port)
        targets = numbers or {bounded(stated)}
        found |= {AddressPort(port.port, target, bounded(port.protocol)) for target in targets}
    return tuple(sorted(found))


def addresses_of_endpoints(
    slices: Iterable[EndpointSlice], whose: Mapping[bytes, Kind]
) -> Iterator[Address]:
    """Yield the API server's own addresses, and what services have outside and on nodes.

    *whose* is the kind of each address that a node or a pod has.
    """
    for item in slices:
        names = service_of(item)
        if names is None or item.address_type == "FQDN":
            continue
        ports = tuple(
            sorted(
                AddressPort(port.port, str(port.port), bounded(port.protocol))
                for port in item.ports
                if port.port is not None
            )
        )
        for address in {text for endpoint in item.endpoints for text in endpoint.addresses}:
            addr, name, namespace = packed(address), bounded("/".join(names)), bounded(names[0])
            kind = _SPECIAL.get(names, "service")
            if kind == "apiserver" or whose.get(addr) == "node":
                yield Address(addr, kind, name, ports=ports, namespace=namespace)
            elif addr not in whose:
                yield Address(addr, "external", name, ports=ports, namespace=namespace)


def service_of(item: EndpointSlice) -> tuple[str, str] | None:
    """Return namespace and name of the service that *item* belongs to."""
    name = item.metadata.labels.get(_SERVICE_NAME)
    return (item.metadata.namespace or "", name) if name else None
