"""A rule of a baseline about a peer -> what a CiliumNetworkPolicy allows for it.

Cilium knows peers by identity: pods by their labels, nodes and the API server as entities, and
addresses only of what is outside of the cluster, where a name of DNS is better than an address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ethogram.contracts.baseline import PeerValue, Rule
from ethogram.contracts.cilium_labels import identity_labels
from ethogram.contracts.escape import printable
from exporters.cilium_model import is_name
from exporters.networkpolicy_addresses import (
    NODE_LOCAL_DNS,
    block,
    is_own,
    is_public,
    parse_address,
)
from exporters.networkpolicy_choices import Choices
from exporters.networkpolicy_peers import (
    INSIDE,
    Block,
    Pods,
    describe,
    is_cluster_dns,
    is_node_port,
    peers_of,
)
from exporters.networkpolicy_ports import (
    DNS_PORT,
    PROTOCOLS,
    Port,
    UnresolvedError,
    is_dns,
    ports_of,
)
from exporters.protocol import Finding

__all__ = ["Entity", "Fqdn", "Icmp", "Peer", "Reach", "cluster_dns", "reaches_of"]

Icmp: TypeAlias = tuple[Literal["IPv4", "IPv6"], int]
# A recording does not tell types. What begins is an echo request; the rest are answers to something
# that is allowed, and pass.
_ECHO: dict[str, Icmp] = {"icmp": ("IPv4", 8), "icmpv6": ("IPv6", 128)}
_DNS_PORTS: frozenset[Port] = frozenset({("TCP", DNS_PORT), ("UDP", DNS_PORT)})


@dataclass(frozen=True, slots=True)
class Entity:
    """What Cilium has a word of its own for: `host`, `remote-node`, `kube-apiserver`."""

    name: Literal["host", "remote-node", "kube-apiserver"]

    @property
    def text(self) -> str:
        """Return the peer for a message."""
        return self.name


@dataclass(frozen=True, slots=True)
class Fqdn:
    """What is outside, by the name of DNS that it was looked up by."""

    name: str

    @property
    def text(self) -> str:
        """Return the peer for a message."""
        return self.name


Peer: TypeAlias = Pods | Block | Entity | Fqdn
_NODES = (Entity("host"), Entity("remote-node"))
_API_SERVER = Entity("kube-apiserver")
_RESOLVER = Pods("kube-system", (("k8s-app", "kube-dns"),))
# On its host's network the cache is the host itself. With a CiliumLocalRedirectPolicy its pods
# answer, and where its address is none of the host's that Cilium knows, it is one outside.
_NODE_LOCAL: tuple[Peer, ...] = (
    Pods("kube-system", (("k8s-app", "node-local-dns"),)),
    Entity("host"),
    Block(block(NODE_LOCAL_DNS), who="NodeLocal DNSCache"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Connections to allow between the workload and *peer*, on the receiver's *ports*.

    *icmp* stands in place of ports. *is_dns* is where names are asked for, and *is_tolerance* what
    goes with a peer that was seen. *rule* is the baseline's, None where a setting asks for it.
    """

    direction: Literal["in", "out"]
    peer: Peer
    ports: frozenset[Port] = frozenset()
    icmp: frozenset[Icmp] = frozenset()
    is_dns: bool = False
    is_tolerance: bool = False
    rule: str | None = None


def reaches_of(rule: Rule[PeerValue], choices: Choices) -> Iterator[Reach | Finding]:
    """Yield what *rule* comes to: what to allow, findings, or nothing where no policy has a say."""
    value = rule.value
    address = parse_address(value.address)
    if value.protocol in INSIDE or (address is not None and is_own(address)):
        return
    if value.protocol not in PROTOCOLS and value.protocol not in _ECHO:
        yield _beyond(rule)
        return
    try:
        found = list(_reaches(value, choices))
    except UnresolvedError as error:
        yield Finding("loss", f"{describe(value)} is not allowed: {error}", error.hint, rule.id)
        return
    yield from (replace(each, rule=rule.id) for each in found)
    yield from _unseen_labels(rule, choices)
    if is_node_port(value):
        yield Finding(
            "warning",
            f"{describe(value)}: most ports of that range are services' (NodePort), and Cilium sees"
            " the pods behind them, which this does not allow",
            hint="let it talk to the service itself, or allow the service's pods by hand",
            subject=rule.id,
        )


def cluster_dns() -> Iterator[Reach]:
    """Yield the way to where most clusters have their resolver, for when none was seen."""
    for peer in (_RESOLVER, *_NODE_LOCAL):
        yield Reach("out", peer, _DNS_PORTS, is_dns=True, is_tolerance=True)


def _reaches(value: PeerValue, choices: Choices) -> Iterator[Reach]:
    if value.protocol in _ECHO:
        icmp = frozenset({_ECHO[value.protocol]})
        for peer in _peers(value, choices):
            yield Reach(value.direction, peer, icmp=icmp)
        return
    ports, peers = ports_of(value), _peers(value, choices)
    names = [number for _, number in ports if isinstance(number, str)]
    others = [peer for peer in peers if not isinstance(peer, Pods)]
    if names and others:
        raise UnresolvedError(f"the port `{names[0]}` has no number at {others[0].text}", None)
    for peer in peers:
        yield Reach(value.direction, peer, ports, is_dns=is_dns(value))
    if is_cluster_dns(value, parse_address(value.address)):
        for peer in _NODE_LOCAL:
            yield Reach(value.direction, peer, _DNS_PORTS, is_dns=True, is_tolerance=True)


def _peers(value: PeerValue, choices: Choices) -> list[Peer]:
    """Return who *value* is about, as Cilium knows it; at least one."""
    who = value.identity
    if who is not None and who.kind == "node":
        return list(_NODES)
    if who is not None and who.kind == "apiserver":
        # What comes through a tunnel from where it runs has the address of that node.
        return [_API_SERVER, *(_NODES if value.direction == "in" else ())]
    found: list[Peer] = []
    for peer in peers_of(value, parse_address(value.address), choices):
        match peer:
            case Pods():
                found.append(_visible(peer))
            case Block():
                found += _outside(peer, value)
    return list(dict.fromkeys(found))


def _outside(peer: Block, value: PeerValue) -> list[Peer]:
    if value.direction == "out" and peer.name and is_name(peer.name):
        return [Fqdn(peer.name.lower().rstrip("."))]
    who = value.identity
    first = parse_address(peer.cidr.partition("/")[0])
    is_behind_a_service = who is not None and who.kind in ("service", "dns")
    # What no labels pick behind a service is outside, or it is a pod on a node's network.
    if is_behind_a_service and first is not None and not is_public(first):
        return [peer, *_NODES]
    return [peer]


def _visible(pods: Pods) -> Pods:
    """Return *pods* by those of their labels that make an identity."""
    labels = identity_labels(dict(pods.selector))
    if not labels:
        unseen = ", ".join(key for key, _ in pods.selector)
        raise UnresolvedError(f"Cilium leaves the labels that pick its pods out: {unseen}", None)
    return Pods(pods.namespace, tuple(labels.items()))


def _unseen_labels(rule: Rule[PeerValue], choices: Choices) -> Iterator[Finding]:
    who = rule.value.identity
    if who is None or who.kind not in ("pod", "service", "dns") or not who.selector:
        return
    for peer in peers_of(rule.value, parse_address(rule.value.address), choices):
        unseen = isinstance(peer, Pods) and dict(peer.selector).keys() - identity_labels(
            dict(peer.selector)
        )
        if unseen:
            yield Finding(
                "warning",
                f"{describe(rule.value)}: Cilium leaves {', '.join(sorted(unseen))} out of what it"
                " knows of pods: all are allowed that have the other labels",
                hint="add the label to Cilium's `labels` setting, or another one to the pods",
                subject=rule.id,
            )


def _beyond(rule: Rule[PeerValue]) -> Finding:
    protocol = rule.value.protocol
    if protocol == "packet" or protocol.startswith("family-"):
        return Finding(
            "info",
            f"{describe(rule.value)}: no CiliumNetworkPolicy speaks of sockets that are not IP",
            subject=rule.id,
        )
    return Finding(
        "loss",
        f"{describe(rule.value)} is not allowed: Cilium denies `{printable(protocol)}` where a"
        " policy holds, and a rule can name TCP, UDP, SCTP and ICMP only",
        subject=rule.id,
    )
