"""What is to be allowed -> the rules of a CiliumNetworkPolicy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from ethogram.contracts.cilium_labels import POD_NAMESPACE_LABEL
from exporters.cilium_model import MOST_PORTS
from exporters.cilium_peers import Entity, Fqdn, Icmp, Peer, Reach
from exporters.networkpolicy_addresses import sort_key
from exporters.networkpolicy_peers import Block, Pods
from exporters.networkpolicy_ports import Port, port_order, ranges_of

__all__ = ["NOBODY", "item_of", "rules_of"]

Item: TypeAlias = "dict[str, Any] | str"
Means: TypeAlias = Literal["ports", "dns", "icmp"]
_Group: TypeAlias = "tuple[int, Means, tuple[Port | Icmp, ...]]"

# A rule that names nothing lets nobody through, and puts the direction under the policy.
NOBODY: dict[str, Any] = {}
_KINDS = ("Endpoints", "Entities", "CIDR", "FQDNs")
_MOST_NAMES = 500


def rules_of(
    reaches: Iterable[Reach], direction: Literal["in", "out"], namespace: str | None,
    names: Sequence[str] | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the rules of *direction*: peers of a kind with the same ports share one.

    *names* are what the DNS proxy lets through, `*` for all; None asks for no proxy.
    """
    seen: dict[tuple[Peer, Means], set[Port | Icmp]] = {}
    for reach in reaches:
        if reach.direction == direction:
            is_proxied = reach.is_dns and names is not None
            means: Means = "icmp" if reach.icmp else "dns" if is_proxied else "ports"
            seen.setdefault((_bare(reach.peer), means), set()).update(reach.icmp or reach.ports)
    groups: dict[_Group, list[Peer]] = {}
    for (peer, means), found in seen.items():
        order = sorted(found, key=_order)
        groups.setdefault((_kind(peer), means, tuple(order)), []).append(peer)
    side = "from" if direction == "in" else "to"
    return [
        {
            f"{side}{_KINDS[key[0]]}": [
                item_of(peer, namespace) for peer in sorted(groups[key], key=_peer_order)
            ],
            **_means(key[1], key[2], names or ()),
        }
        for key in sorted(groups, key=lambda key: (key[0], key[1], [*map(_order, key[2])]))
    ]


def item_of(peer: Peer, namespace: str | None) -> Item:
    """Return *peer* as it stands in a rule of a policy in *namespace*."""
    match peer:
        case Pods():
            # Without a namespace it is the policy's own, and moves with it.
            other = {} if peer.namespace == namespace else {POD_NAMESPACE_LABEL: peer.namespace}
            return {"matchLabels": other | dict(peer.selector)}
        case Entity():
            return peer.name
        case Block():
            return peer.cidr
        case Fqdn():
            return {"matchName": peer.name}


def _means(
    means: Means, found: Sequence[Port | Icmp], names: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    match means:
        case "icmp":
            return {"icmps": [{"fields": [{"family": one, "type": two} for one, two in found]}]}
        case "ports":
            return {"toPorts": [{"ports": ports} for ports in _ports(found, is_merged=True)]}
        case "dns":
            return {
                "toPorts": [
                    {"ports": ports, "rules": {"dns": list(map(_asked, some))}}
                    for ports in _ports(found, is_merged=False)
                    for some in _slices(list(names), _MOST_NAMES)
                ]
            }


def _asked(name: str) -> dict[str, str]:
    return {"matchPattern": "*"} if name == "*" else {"matchName": name}


def _ports(found: Iterable[Any], *, is_merged: bool) -> Iterator[list[dict[str, Any]]]:
    """Yield *found* as items of `ports`, no more in one list than Cilium takes."""
    ranges = ranges_of(found) if is_merged else ((protocol, one, None) for protocol, one in found)
    items = [
        {"port": str(first), "protocol": protocol} | ({} if last is None else {"endPort": last})
        for protocol, first, last in ranges
    ]
    return _slices(items, MOST_PORTS)


def _slices(items: list[Any], most: int) -> Iterator[list[Any]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _bare(peer: Peer) -> Peer:
    return Block(peer.cidr) if isinstance(peer, Block) else peer


def _kind(peer: Peer) -> int:
    match peer:
        case Pods():
            return 0
        case Entity():
            return 1
        case Block():
            return 2
        case Fqdn():
            return 3


def _peer_order(peer: Peer) -> tuple[Any, ...]:
    match peer:
        case Pods():
            return (peer.namespace, peer.selector)
        case Block():
            return sort_key(peer.cidr)
        case Entity() | Fqdn():
            return (peer.name,)


def _order(means: Any) -> tuple[str, int, str]:
    return port_order(means)
