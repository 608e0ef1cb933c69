"""What NetworkPolicies decide: a reader of `networking.k8s.io/v1`, for replay and tests.

It answers as the specification says. Policies are a union: a pod that any of them picks for a
direction may do there what any of them allows; a pod that none picks may do everything. Whether a
connection comes about is two questions, one for each end. What the specification leaves to the
plugin is answered so: a block holds any peer with such an address, and protocols other than TCP,
UDP and SCTP are not restricted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal, TypeAlias

from ethogram.contracts.policy_reading import PolicyReading

__all__ = ["Direction", "Endpoint", "allows", "connects", "selects"]

_READING = PolicyReading("NetworkPolicy")
Direction: TypeAlias = Literal["in", "out"]
_SIDES: Mapping[Direction, tuple[str, str, str]] = {
    "in": ("Ingress", "ingress", "from"),
    "out": ("Egress", "egress", "to"),
}
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection: a pod of *namespace*, or without one an address alone.

    *named_ports* are the pod's, by protocol and name.
    """

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None
    named_ports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


def connects(
    policies: Sequence[Mapping[str, Any]],
    source: Endpoint,
    destination: Endpoint,
    *,
    protocol: str,
    port: int,
) -> bool:
    """Return whether *source* may connect to *port* of *destination*: both ends allow it."""
    return allows(
        policies, source, destination, direction="out", protocol=protocol, port=port
    ) and allows(policies, destination, source, direction="in", protocol=protocol, port=port)


def allows(
    policies: Iterable[Mapping[str, Any]],
    pod: Endpoint,
    peer: Endpoint,
    *,
    direction: Direction,
    protocol: str,
    port: int,
) -> bool:
    """Return whether *policies* let *pod* talk to *peer*; they say nothing of peer's own side.

    *port* is the receiver's own: of *pod* for `in`, of *peer* for `out`. `ExportError` names
    what is malformed in a policy.
    """
    kind, section, side = _SIDES[direction]
    mine = [policy for policy in policies if selects(policy, pod) and kind in _types(_spec(policy))]
    if not mine or pod.namespace is None or protocol not in _PROTOCOLS:
        return True
    receiver = pod if direction == "in" else peer
    return any(
        _picks_peer(rule, side, peer, str(pod.namespace))
        and _picks_port(rule, receiver, protocol, port)
        for policy in mine
        for rule in _READING.list(_spec(policy), section)
    )


def selects(policy: Mapping[str, Any], pod: Endpoint) -> bool:
    """Return whether *policy* is for *pod*."""
    namespace = _READING.mapping(policy, "metadata").get("namespace")
    return pod.namespace == namespace and _matches(
        _READING.mapping(_spec(policy), "podSelector"), pod.labels
    )


def _spec(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    return _READING.mapping(policy, "spec")


def _types(spec: Mapping[str, Any]) -> list[Any]:
    """Return the directions that a policy restricts; egress is inferred from its section only."""
    stated = _READING.list(spec, "policyTypes")
    return stated or ["Ingress", *(["Egress"] if _READING.list(spec, "egress") else [])]


def _picks_peer(rule: Any, side: str, peer: Endpoint, namespace: str) -> bool:
    """Return whether *peer* is in `from` or `to`; without a list, or an empty one, anybody is."""
    items = _READING.list(rule, side)
    return not items or any(_is_peer(item, peer, namespace) for item in items)


def _is_peer(item: Any, peer: Endpoint, namespace: str) -> bool:
    if "ipBlock" in item:
        block = _READING.mapping(item, "ipBlock")
        excluded = [_in_network(peer.address, cidr) for cidr in _READING.list(block, "except")]
        return _in_network(peer.address, block.get("cidr")) and not any(excluded)
    if peer.namespace is None:
        return False
    if "namespaceSelector" in item:
        labels = {_NAMESPACE_NAME: peer.namespace} | dict(peer.namespace_labels)
        if not _matches(_READING.mapping(item, "namespaceSelector"), labels):
            return False
    elif peer.namespace != namespace:
        return False
    elif "podSelector" not in item:
        raise _READING.malformed("a peer without `podSelector`, `namespaceSelector` or `ipBlock`")
    return _matches(_READING.mapping(item, "podSelector"), peer.labels)


def _in_network(address: str | None, cidr: Any) -> bool:
    """Return whether *address* lies in *cidr*; what is no address lies nowhere."""
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


def _picks_port(rule: Any, receiver: Endpoint, protocol: str, port: int) -> bool:
    items = _READING.list(rule, "ports")
    return not items or any(_is_port(item, receiver, protocol, port) for item in items)


def _is_port(item: Any, receiver: Endpoint, protocol: str, port: int) -> bool:
    if item.get("protocol", "TCP") != protocol:
        return False
    match item.get("port"):
        case None:
            return True
        case int(first):
            return first <= port <= int(item.get("endPort", first))
        case str(name):
            return receiver.named_ports.get((protocol, name)) == port
        case other:
            raise _READING.malformed(f"the port {other!r}")


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether *labels* meet all of *selector*; an empty one is met by any."""
    return all(
        labels.get(key) == value for key, value in _READING.mapping(selector, "matchLabels").items()
    ) and all(
        _READING.meets(each, labels.get(each["key"]))
        for each in _READING.list(selector, "matchExpressions")
    )
