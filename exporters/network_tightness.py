"""How much a network policy allows: its peers, their ports, and what stands for many addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from ethogram.contracts.artifacts import Measure

__all__ = ["network_tightness"]

_NO_PEERS = ("ports", "toPorts", "icmps")


def network_tightness(documents: Sequence[Mapping[str, Any]]) -> Mapping[str, Measure]:
    """Return how much *documents*, the policies of one workload as we write them, allow.

    By direction: *peers* and *ports* are different ones; a range is as many ports as it has, and
    one that several peers have counts once. *wide* peers are blocks of more than one address, and
    Cilium's entities.
    """
    found: dict[str, Measure] = {}
    for direction in ("ingress", "egress"):
        rules = [rule for document in documents for rule in document["spec"].get(direction) or ()]
        peers = {_text(peer): peer for rule in rules for peer in _peers(rule)}
        ports = {_text(port): port for rule in rules for port in _ports(rule)}
        found |= {
            f"{direction}_peers": len(peers),
            f"{direction}_ports": sum(map(_size, ports.values())),
            f"{direction}_wide_peers": sum(map(_is_wide, peers.values())),
        }
    return found


def _text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def _peers(rule: Mapping[str, Any]) -> Iterator[Any]:
    for name, items in rule.items():
        if name not in _NO_PEERS:
            yield from items


def _ports(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from rule.get("ports", ())
    for item in rule.get("toPorts", ()):
        yield from item["ports"]


def _size(port: Mapping[str, Any]) -> int:
    last = port.get("endPort")
    return 1 if last is None else int(last) - int(port["port"]) + 1


def _is_wide(peer: Any) -> bool:
    if isinstance(peer, str) and "/" not in peer:
        return True
    cidr = peer if isinstance(peer, str) else peer.get("ipBlock", {}).get("cidr")
    return cidr is not None and ip_network(cidr).num_addresses > 1
