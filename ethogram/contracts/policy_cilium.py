"""What CiliumNetworkPolicies decide: a reader of `cilium.io/v2`, for replay and tests.

It answers as Cilium's documentation says. Policies are a union, and what any of them denies stays
denied. A pod is held to its policies in a direction as soon as one that picks it has rules there
and does not say otherwise (`enableDefaultDeny`); one that none holds may do everything. Peers are
identities: a pod is its labels, a node `host` or `remote-node`, and an address only what is
outside. A name stands for the addresses that the DNS proxy saw it answered with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal, TypeAlias

from ethogram.contracts.cilium_labels import identity_labels
from ethogram.contracts.policy_reading import PolicyReading

__all__ = ["Direction", "Identity", "allows", "allows_name", "selects"]

_READING = PolicyReading("CiliumNetworkPolicy")
Direction: TypeAlias = Literal["in", "out"]
_SECTIONS: Mapping[Direction, tuple[str, str, str]] = {
    "in": ("ingress", "ingressDeny", "from"),
    "out": ("egress", "egressDeny", "to"),
}
_PEERS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "FQDNs")
_UNKNOWN = ("Requires", "Services", "Groups", "Nodes")
_NAMESPACE = "io.kubernetes.pod.namespace"
_TRANSPORTS = frozenset({"TCP", "UDP", "SCTP"})
_ICMP: Mapping[str, str] = {"IPv4": "ICMP", "IPv6": "ICMPv6"}
_ECHO = {("IPv4", "Echo"): 8, ("IPv4", "EchoRequest"): 8, ("IPv6", "EchoRequest"): 128}
_NODES = frozenset({"host", "remote-node", "kube-apiserver"})


@dataclass(frozen=True, slots=True)
class Identity:
    """One end of a connection, as Cilium knows it: a pod of *namespace*, or else what it is.

    *entities* are `host`, `remote-node`, `kube-apiserver`; without them and without a namespace it
    is of the world, *names* those that the pod's resolver answered its *address* for.
    """

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    named_ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    entities: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def is_world(self) -> bool:
        """Return whether it is outside of the cluster."""
        return self.namespace is None and not self.entities & _NODES


def allows(
    policies: Iterable[Mapping[str, Any]],
    pod: Identity,
    peer: Identity,
    *,
    direction: Direction,
    protocol: str,
    port: int,
) -> bool:
    """Return whether *policies* let *pod* talk to *peer*; they say nothing of peer's own side.

    *port* is the receiver's own, and the type for the protocols `ICMP` and `ICMPv6`. `ExportError`
    names what is malformed in a policy, and what this does not read.
    """
    section, denied, side = _SECTIONS[direction]
    mine = [rule for rule, namespace in _rules(policies) if _picks(rule, namespace, pod)]
    receiver = pod if direction == "in" else peer

    def matches(rule: Any) -> bool:
        return _is_peer(rule, side, peer, pod, mine) and _is_port(rule, receiver, protocol, port)

    if any(matches(rule) for each in mine for rule in _READING.list(each, denied)):
        return False
    if not any(_denies_by_default(each, section, denied) for each in mine):
        return True
    return any(matches(rule) for each in mine for rule in _READING.list(each, section))


def allows_name(
    policies: Iterable[Mapping[str, Any]], pod: Identity, resolver: Identity, name: str
) -> bool:
    """Return whether *policies* let *pod* ask *resolver* for *name*, by UDP on port 53.

    Where a rule without names allows the resolver, names of another count for nothing.
    """
    asked = {"direction": "out", "protocol": "UDP", "port": 53}
    policies = list(policies)
    if not allows(policies, pod, resolver, **asked):  # type: ignore[arg-type]  # as above
        return False
    mine = [rule for rule, namespace in _rules(policies) if _picks(rule, namespace, pod)]
    if not any(_denies_by_default(each, "egress", "egressDeny") for each in mine):
        return True
    found = [
        ports
        for each in mine
        for rule in _READING.list(each, "egress")
        if _is_peer(rule, "to", resolver, pod, mine)
        for ports in _READING.list(rule, "toPorts") or [{}]
        if _is_port({"toPorts": [ports]} if ports else {}, resolver, "UDP", 53)
    ]
    return any("rules" not in ports for ports in found) or any(
        _is_named(item, {name}) for ports in found for item in _dns_names(ports)
    )


def selects(policy: Mapping[str, Any], pod: Identity) -> bool:
    """Return whether *policy* is for *pod*."""
    return any(_picks(rule, namespace, pod) for rule, namespace in _rules([policy]))


def _rules(
    policies: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Yield what `spec` and `specs` hold, with the namespace that it is for."""
    for policy in policies:
        namespace = _READING.mapping(policy, "metadata").get("namespace")
        yield from ((rule, namespace) for rule in _READING.list(policy, "specs"))
        if "spec" in policy:
            yield _READING.mapping(policy, "spec"), namespace


def _picks(rule: Mapping[str, Any], namespace: str | None, pod: Identity) -> bool:
    if "endpointSelector" not in rule:
        raise _READING.malformed("it has no `endpointSelector`: policies for nodes are not read")
    return pod.namespace == namespace and _matches(rule["endpointSelector"], pod, pod.namespace)


def _denies_by_default(rule: Mapping[str, Any], section: str, denied: str) -> bool:
    has_rules = bool(_READING.list(rule, section) or _READING.list(rule, denied))
    stated = _READING.mapping(rule, "enableDefaultDeny").get(section)
    if not isinstance(stated, bool | None):
        raise _READING.malformed(f"`enableDefaultDeny.{section}` is neither true nor false")
    # A direction without rules is open, whatever `enableDefaultDeny` says (cilium#35558).
    return has_rules and stated is not False


def _is_peer(
    rule: Any, side: str, peer: Identity, pod: Identity, mine: Sequence[Mapping[str, Any]]
) -> bool:
    """Return whether *rule* names *peer*: without peers it is anybody, without ports too nobody."""
    if unread := [f"{side}{word}" for word in _UNKNOWN if f"{side}{word}" in rule]:
        raise _READING.malformed(f"`{unread[0]}` is not read")
    stated = [word for word in _PEERS if f"{side}{word}" in rule]
    if len(stated) > 1:
        raise _READING.malformed(f"`{side}{stated[0]}` and `{side}{stated[1]}` in one rule")
    if not stated:
        return bool(_READING.list(rule, "toPorts") or _READING.list(rule, "icmps"))
    items = _READING.list(rule, f"{side}{stated[0]}")
    match stated[0]:
        case "Endpoints":
            return any(_is_endpoint(item, peer, pod) for item in items)
        case "Entities":
            return any(_is_entity(item, peer) for item in items)
        case "CIDR":
            return peer.is_world and any(_holds(item, peer.address) for item in items)
        case "CIDRSet":
            return peer.is_world and any(_in_set(item, peer.address) for item in items)
        case _:
            seen = {name for name in peer.names if _is_proxied(name, mine)}
            return peer.is_world and any(_is_named(item, seen) for item in items)


def _is_endpoint(selector: Any, peer: Identity, pod: Identity) -> bool:
    return peer.namespace is not None and _matches(selector, peer, pod.namespace)


def _is_entity(entity: Any, peer: Identity) -> bool:
    match entity:
        case "all":
            return True
        case "world":
            return peer.is_world
        case "cluster":
            return not peer.is_world
        case "host" | "remote-node" | "kube-apiserver" | "health" | "init" | "unmanaged" | "none":
            return entity in peer.entities
        case other:
            raise _READING.malformed(f"the entity {other!r}")


def _in_set(item: Any, address: str | None) -> bool:
    if "cidr" not in item:
        raise _READING.malformed("groups of CIDRs are not read")
    return _holds(item["cidr"], address) and not any(
        _holds(cidr, address) for cidr in _READING.list(item, "except")
    )


def _holds(cidr: Any, address: str | None) -> bool:
    try:
        network = ip_network(cidr)
    except ValueError as error:
        raise _READING.malformed(f"the CIDR {cidr!r}") from error
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    # What a socket of IPv6 calls so is a packet of IPv4.
    return ((isinstance(found, IPv6Address) and found.ipv4_mapped) or found) in network


def _is_proxied(name: str, mine: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the DNS proxy sees *name*: it looks at what a rule with `rules.dns` allows."""
    return any(
        _is_named(item, {name})
        for each in mine
        for rule in _READING.list(each, "egress")
        for ports in _READING.list(rule, "toPorts")
        for item in _dns_names(ports)
    )


def _dns_names(ports: Any) -> list[Any]:
    return _READING.list(_READING.mapping(ports, "rules"), "dns")


def _is_named(item: Any, names: Iterable[str]) -> bool:
    """Return whether one of *names* is what *item* says: `matchName`, or `matchPattern`."""
    match item:
        case {"matchName": str(stated)}:
            return any(_bare(stated) == _bare(name) for name in names)
        case {"matchPattern": str(stated)}:
            pattern = _bare(stated)
            if pattern == "*":
                return bool(list(names))
            # `**.` is names of any depth below; another `*` does not go past a dot.
            text = re.escape(pattern).replace(r"\*\*\.", r"([-a-z0-9_]+\.)+")
            text = text.replace(r"\*", "[-a-z0-9_]*")
            return any(re.fullmatch(text, _bare(name)) for name in names)
        case other:
            raise _READING.malformed(f"the name {other!r}")


def _bare(name: str) -> str:
    return name.lower().rstrip(".")


def _is_port(rule: Any, receiver: Identity, protocol: str, port: int) -> bool:
    """Return whether *rule* allows *port*; without ports and types it allows them all."""
    if icmps := _READING.list(rule, "icmps"):
        fields = [item for each in icmps for item in _READING.list(each, "fields")]
        return any(_is_type(item, protocol, port) for item in fields)
    rules = _READING.list(rule, "toPorts")
    if not rules:
        return True
    items = [item for each in rules for item in _READING.list(each, "ports")]
    return protocol in _TRANSPORTS and any(
        _is_stated(item, receiver, protocol, port) for item in items
    )


def _is_type(item: Any, protocol: str, number: int) -> bool:
    family, stated = item.get("family", "IPv4"), item.get("type")
    if isinstance(stated, str):
        stated = _ECHO.get((family, stated), int(stated) if stated.isdecimal() else None)
    if family not in _ICMP or not isinstance(stated, int):
        raise _READING.malformed(f"the ICMP type {item!r}")
    return _ICMP[family] == protocol and stated == number


def _is_stated(item: Any, receiver: Identity, protocol: str, port: int) -> bool:
    if item.get("protocol", "ANY") not in ("ANY", protocol):
        return False
    match item.get("port"):
        case str(text) if text.isdecimal():
            first = int(text)
            return first == 0 or first <= port <= max(first, int(item.get("endPort", first)))
        case str(name):
            return receiver.named_ports.get((protocol, name)) == port
        case other:
            raise _READING.malformed(f"the port {other!r}, which is no text")


def _matches(selector: Any, pod: Identity, namespace: str | None) -> bool:
    """Return whether *pod* is picked; one that names no namespace is for *namespace* alone."""
    labels = {**identity_labels(pod.labels), _NAMESPACE: pod.namespace}
    stated = {_key(key): value for key, value in _READING.mapping(selector, "matchLabels").items()}
    expressions = _READING.list(selector, "matchExpressions")
    if _NAMESPACE not in {*stated, *(_key(each["key"]) for each in expressions)}:
        stated[_NAMESPACE] = namespace
    return all(labels.get(key) == value for key, value in stated.items()) and all(
        _READING.meets(each, labels.get(_key(each["key"]))) for each in expressions
    )


def _key(key: str) -> str:
    """Return a label's key without where it comes from."""
    source, has_source, rest = key.partition(":")
    return rest if has_source and source in ("k8s", "any") else key
