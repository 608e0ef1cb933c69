"""What a NetworkPolicy lets be, way by way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ethogram.errors import ExportError
from exporters.kubernetes import NAMESPACE_LABEL
from exporters.review.documents import listed, part
from exporters.review.network_words import ANYBODY, Direction, Peer, Way, ports_of

__all__ = ["SIDES", "namespace_of", "peer_of", "types_of", "ways_of"]

# Type, key of its rules, key of a rule's peers.
SIDES: tuple[tuple[str, str, str], ...] = (
    ("Ingress", "ingress", "from"),
    ("Egress", "egress", "to"),
)


def types_of(spec: Mapping[str, Any]) -> list[Any]:
    """Return the directions that a policy restricts; egress is inferred from its rules only."""
    stated = listed(spec, "policyTypes")
    return stated or ["Ingress", *(["Egress"] if listed(spec, "egress") else [])]


def namespace_of(policy: Mapping[str, Any]) -> str:
    """Return the namespace of *policy*."""
    return str(part(policy, "metadata").get("namespace") or "default")


def ways_of(policy: Mapping[str, Any]) -> Iterator[Way]:
    """Yield whom *policy* lets connect, and to whom; everybody where it restricts nobody."""
    spec = part(policy, "spec")
    namespace = namespace_of(policy)
    types = types_of(spec)
    for kind, key, side in SIDES:
        direction: Direction = "in" if key == "ingress" else "out"
        if kind not in types:
            yield Way(direction, Peer(ANYBODY), None)
            continue
        for rule in listed(spec, key):
            if not isinstance(rule, dict):
                raise ExportError("the NetworkPolicy is malformed: a rule is no mapping")
            peers = [peer_of(peer, namespace) for peer in listed(rule, side)] or [Peer(ANYBODY)]
            for peer in peers:
                for port in ports_of(listed(rule, "ports")):
                    yield Way(direction, peer, port)


def peer_of(peer: Any, namespace: str) -> Peer:
    """Return in words whom one item of `from` or `to` picks; None is no item at all."""
    if peer is None:
        return Peer(ANYBODY)
    if not isinstance(peer, dict):
        raise ExportError("the NetworkPolicy is malformed: a peer is no mapping")
    if "ipBlock" in peer:
        block = part(peer, "ipBlock")
        without = ", ".join(map(str, listed(block, "except")))
        words = f"{block.get('cidr')}" + (f" except {without}" if without else "")
        return Peer(words, cidr=None if without else str(block.get("cidr")))
    where = f"namespace {namespace}"
    if "namespaceSelector" in peer:
        selector = part(peer, "namespaceSelector")
        labels = part(selector, "matchLabels")
        is_name = list(labels) == [NAMESPACE_LABEL] and not listed(selector, "matchExpressions")
        where = (
            f"namespace {labels[NAMESPACE_LABEL]}"
            if is_name
            else (f"namespaces with {_selected(selector)}" if selector else "any namespace")
        )
    pods = part(peer, "podSelector")
    return Peer(f"{f'pods with {_selected(pods)}' if pods else 'any pod'} in {where}")


def _selected(selector: Mapping[str, Any]) -> str:
    labels = [f"{key}={value}" for key, value in sorted(part(selector, "matchLabels").items())]
    labels += [json.dumps(one, sort_keys=True) for one in listed(selector, "matchExpressions")]
    return ", ".join(labels)
