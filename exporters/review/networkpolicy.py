"""NetworkPolicies of `networking.k8s.io/v1`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.kubernetes import NAMESPACE_LABEL
from exporters.review.documents import RELAXED_ANNOTATION, annotated, changed, kinds, listed, part
from exporters.review.network_words import Direction, Peer, Way, ports_of, tell_ways
from exporters.review.protocol import Relaxed, Told

__all__ = ["NetworkPolicyReviewer", "reviewer"]

_KIND = "NetworkPolicy"
# Policies add up: one that allows everything would open what other policies closed. No pod both
# has a label and has it not, so this one picks none, as if it were deleted.
_NOBODY = tuple(
    {"key": RELAXED_ANNOTATION, "operator": operator} for operator in ("Exists", "DoesNotExist")
)


@dataclass(frozen=True, slots=True)
class NetworkPolicyReviewer:
    """Knows NetworkPolicies, one or more in a file."""

    target: str = "networkpolicy"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are NetworkPolicies."""
        return kinds(documents) == {_KIND}

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return who may connect to the pods, and to whom they may."""
        return tell_ways([way for document in documents for way in _ways(document)])

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the policies so that they pick no pod; what others pick stays restricted."""
        found = []
        for document in documents:
            selector = part(part(document, "spec"), "podSelector")
            before = listed(selector, "matchExpressions")
            added = [dict(one) for one in _NOBODY if one not in before]
            picks = {**selector, "matchExpressions": [*before, *added]}
            found.append(changed(annotated(document, reason), "spec", podSelector=picks))
        return Relaxed(
            found,
            "picks no pod: it restricts nobody, as if it were deleted",
            "kubectl",
            (
                "no NetworkPolicy logs: nothing is written of what it refused",
                "other policies that pick the pods still restrict them",
            ),
        )


def reviewer() -> NetworkPolicyReviewer:
    """Return the reviewer."""
    return NetworkPolicyReviewer()


def _ways(policy: Mapping[str, Any]) -> Iterator[Way]:
    spec = part(policy, "spec")
    namespace = str(part(policy, "metadata").get("namespace") or "default")
    types = listed(spec, "policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]
    for kind, key, side in (("Ingress", "ingress", "from"), ("Egress", "egress", "to")):
        direction: Direction = "in" if key == "ingress" else "out"
        if kind not in types:
            yield Way(direction, Peer("anybody"), None)
            continue
        for rule in listed(spec, key):
            if not isinstance(rule, dict):
                raise ExportError("the NetworkPolicy is malformed: a rule is no mapping")
            peers = [_peer(peer, namespace) for peer in listed(rule, side)] or [Peer("anybody")]
            for peer in peers:
                for port in ports_of(listed(rule, "ports")):
                    yield Way(direction, peer, port)


def _peer(peer: Any, namespace: str) -> Peer:
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
