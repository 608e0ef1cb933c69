"""A rule of a baseline about a peer -> the flows that a NetworkPolicy allows for it.

A policy speaks of pods by their labels and of everything else by its address, and of the port
that the receiving pod itself has. What cannot be said so is a finding, never a wider rule: an
empty selector is every pod, and an empty list every peer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

from ethogram.contracts.baseline import PeerIdentity, PeerValue, Rule
from ethogram.contracts.escape import printable
from exporters.kubernetes import is_dns_label, refused_label, stable_selector
from exporters.networkpolicy_addresses import (
    METADATA,
    NODE_LOCAL_DNS,
    Address,
    block,
    is_own,
    is_public,
    is_unicast,
    parse_address,
    widest,
)
from exporters.networkpolicy_choices import Choices
from exporters.networkpolicy_ports import (
    DNS_PORT,
    INVENTORY_HINT,
    PROTOCOLS,
    Port,
    UnresolvedError,
    is_dns,
    ports_of,
)
from exporters.protocol import Finding

__all__ = [
    "INSIDE",
    "Block",
    "Flow",
    "Peer",
    "Pods",
    "cluster_dns",
    "describe",
    "flows_of",
    "is_cluster_dns",
    "is_node_local",
    "is_node_port",
    "label_hint",
    "peers_of",
]

Direction: TypeAlias = Literal["in", "out"]

# Sockets of these never reach the network that a policy is about.
INSIDE = frozenset({"unix", "netlink"})
# An API server gives services ports of nodes out of these, unless it is told otherwise.
_NODE_PORTS = range(30000, 32768)
_RUNS = frozenset({"Job", "CronJob"})


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods of *namespace* that carry the labels of *selector*, which is never empty."""

    namespace: str
    selector: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """Return the peer for a message."""
        return f"{self.namespace}/{','.join(f'{key}={value}' for key, value in self.selector)}"


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses that no labels pick; *rots* where they will be somebody else's in time.

    *name* is what DNS called them when they were seen, *who* what the inventory did.
    """

    cidr: str
    rots: Literal["public", "node"] | None = None
    name: str | None = None
    who: str | None = None

    @property
    def text(self) -> str:
        """Return the peer for a message."""
        return self.cidr


Peer: TypeAlias = Pods | Block


@dataclass(frozen=True, slots=True)
class Flow:
    """Connections to allow between the workload and *peer*, on the receiver's *ports*."""

    direction: Direction
    peer: Peer
    ports: frozenset[Port]
    is_cluster_dns: bool = False


_RESOLVER = Pods("kube-system", (("k8s-app", "kube-dns"),))
_NODE_LOCAL = Flow(
    "out",
    Block(block(NODE_LOCAL_DNS), who="NodeLocal DNSCache"),
    frozenset({("TCP", DNS_PORT), ("UDP", DNS_PORT)}),
    is_cluster_dns=True,
)


def flows_of(rule: Rule[PeerValue], choices: Choices) -> Iterator[Flow | Finding]:
    """Yield what *rule* comes to: flows, findings, or nothing where no policy has a say."""
    value = rule.value
    address = parse_address(value.address)
    if value.protocol in INSIDE or (address is not None and is_own(address)):
        return
    if value.protocol not in PROTOCOLS:
        yield _beyond(rule)
        return
    try:
        ports, peers = ports_of(value), peers_of(value, address, choices)
        _check_names(ports, peers)
    except UnresolvedError as error:
        yield _loss(rule, str(error), error.hint)
        return
    is_resolver = is_cluster_dns(value, address)
    for peer in peers:
        yield Flow(value.direction, peer, ports, is_cluster_dns=is_resolver)
    if is_resolver:
        yield _NODE_LOCAL
    if is_node_port(value):
        yield Finding(
            "warning",
            f"{describe(value)}: most ports of that range are services' (NodePort), and a plugin"
            " that looks at what is behind them sees their pods, which this does not allow",
            hint="let it talk to the service itself, or allow the service's pods by hand",
            subject=rule.id,
        )


def cluster_dns() -> Iterator[Flow]:
    """Yield the flows to where most clusters have their resolver, for when none was seen."""
    yield Flow("out", _RESOLVER, _NODE_LOCAL.ports, is_cluster_dns=True)
    yield _NODE_LOCAL


def is_node_local(flow: Flow) -> bool:
    """Return whether *flow* is the one beside the cluster's DNS, for nodes that cache it."""
    return flow == _NODE_LOCAL


def describe(value: PeerValue) -> str:
    """Return *value* for a message: way, protocol, port and peer."""
    who = printable(value.identity.name if value.identity else value.address) or "nobody"
    if value.identity and value.identity.namespace and "/" not in who:
        who = f"{printable(value.identity.namespace)}/{who}"
    kind = f"{value.identity.kind} " if value.identity else ""
    name = f" ({printable(value.name)})" if value.name and value.name != who else ""
    way = "from" if value.direction == "in" else "to"
    port = "" if value.port is None else f" port {value.port}"
    return f"{printable(value.protocol)} {way} {kind}`{who}`{name}{port}"


def _loss(rule: Rule[PeerValue], why: str, hint: str | None) -> Finding:
    return Finding("loss", f"{describe(rule.value)} is not allowed: {why}", hint, rule.id)


def _beyond(rule: Rule[PeerValue]) -> Finding:
    protocol = rule.value.protocol
    if protocol == "packet" or protocol.startswith("family-"):
        return Finding(
            "info",
            f"{describe(rule.value)}: no NetworkPolicy speaks of sockets that are not IP",
            subject=rule.id,
        )
    return Finding(
        "warning",
        f"{describe(rule.value)}: a NetworkPolicy speaks of TCP, UDP and SCTP only, so the"
        " network plugin decides whether it goes through",
        hint="look up what your plugin does with it, and try it before relying on it",
        subject=rule.id,
    )


def is_node_port(value: PeerValue) -> bool:
    """Return whether *value* went to a port of a node that is mostly a service's."""
    is_node = value.identity is not None and value.identity.kind == "node"
    return is_node and value.direction == "out" and value.port in _NODE_PORTS


def is_cluster_dns(value: PeerValue, address: Address | None) -> bool:
    """Return whether *value* asks the resolver of the cluster for names."""
    is_resolver = value.identity is not None and value.identity.kind in {"dns", "node"}
    return is_dns(value) and (is_resolver or address == NODE_LOCAL_DNS)


def _check_names(ports: Iterable[Port], peers: Iterable[Peer]) -> None:
    """Refuse a named port for a block: it is looked up in the pod, and an address has none."""
    names = [number for _, number in ports if isinstance(number, str)]
    blocks = [peer.cidr for peer in peers if isinstance(peer, Block)]
    if names and blocks:
        raise UnresolvedError(f"the port `{names[0]}` has no number at {blocks[0]}")


def peers_of(value: PeerValue, address: Address | None, choices: Choices) -> list[Peer]:
    """Return who *value* is about; at least one."""
    who = value.identity
    if who is None:
        return [_stranger(value, address, choices)]
    match who.kind:
        case "pod":
            return [_pods(who)]
        case "service" | "dns":
            found: list[Peer] = [_pods(who)] if who.selector else []
            found += [_block(text, value, choices, is_known=True) for text in who.addresses]
            if not found:
                raise UnresolvedError("nobody knows what answers for it: no labels, no addresses")
            return found
        case "node" | "external":
            texts = [value.address] if value.address else sorted(set(who.addresses))
        case "apiserver":
            # Coming in, it has the address of where it runs; its service's address has only rules
            # of the service's own, and a policy never sees it.
            is_seen = value.direction == "in" and value.address
            texts = sorted({*who.addresses, *([value.address] if is_seen else [])})
        case _:
            assert_never(who.kind)
    if not texts:
        raise UnresolvedError("its addresses are not known")
    return [_block(text, value, choices, is_known=True) for text in texts]


def _pods(who: PeerIdentity) -> Pods:
    # A service's selector is what a person wrote: it may well pick one replica of many.
    selector = dict(sorted(who.selector.items()))
    if who.kind == "pod":
        selector = stable_selector(selector)
    if not selector:
        raise UnresolvedError(
            "nothing picks its pods: no labels that all of them keep", label_hint(who.owner)
        )
    if refused := refused_label(selector):
        raise UnresolvedError(f"Kubernetes refuses the label `{printable(refused)}`", hint=None)
    if who.namespace is None:
        raise UnresolvedError("its namespace is not known")
    if not is_dns_label(who.namespace):
        raise UnresolvedError(
            f"Kubernetes refuses the namespace `{printable(who.namespace)}`", hint=None
        )
    return Pods(who.namespace, tuple(selector.items()))


def label_hint(owner: str | None) -> str:
    """Return what helps where no labels are known of the pods of a kind of *owner*."""
    if owner in _RUNS:
        return (
            "a Job picks its pods by a number of that run: write the rule by hand, with a label of"
            " its pod template"
        )
    if owner == "Pod":
        return "give the pod a label, record with `--inventory` and learn again"
    return (
        "record with an inventory that lists the owners of pods: `ethogram record --help` ends"
        " with the command"
    )


def _stranger(value: PeerValue, address: Address | None, choices: Choices) -> Block:
    if address in METADATA and not widest(address, (*choices.external, *choices.groups)):
        raise UnresolvedError(
            "most clouds have their metadata there, and the node's credentials among it",
            f"where the workload has to read it: `--set external-cidrs={block(address)}`",
        )
    is_allowed = address is not None and (
        is_public(address)
        or (address == NODE_LOCAL_DNS and is_dns(value))
        or widest(address, (*choices.external, *choices.groups)) is not None
    )
    return _block(value.address, value, choices, is_known=is_allowed)


def _block(text: str, value: PeerValue, choices: Choices, *, is_known: bool) -> Block:
    address = parse_address(text)
    if not text:
        raise UnresolvedError("its address is not known")
    if address is None:
        raise UnresolvedError(f"`{printable(text)}` is no address")
    if not is_unicast(address):
        raise UnresolvedError(f"{address} is the address of a group or of the pod itself", None)
    if not is_known:
        raise UnresolvedError(
            "nobody in the inventory has that private address",
            f"{INVENTORY_HINT}; where it is outside, name its range:"
            f" `--set external-cidrs={block(address)}`",
        )
    if group := widest(address, choices.groups):
        return Block(str(group))
    is_node = value.identity is not None and value.identity.kind in {"node", "apiserver"}
    rots: Literal["public", "node"] | None = (
        "node" if is_node else "public" if is_public(address) else None
    )
    return Block(block(address), rots, value.name, _whose(value.identity))


def _whose(who: PeerIdentity | None) -> str | None:
    if who is None:
        return None
    return f"{who.kind} {who.namespace}/{who.name}" if who.namespace else f"{who.kind} {who.name}"
