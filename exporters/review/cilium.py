"""CiliumNetworkPolicies of `cilium.io/v2`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.review.documents import annotated, kinds, listed
from exporters.review.network_words import Direction, Peer, Way, ports_of, tell_ways
from exporters.review.protocol import Relaxed, Told

__all__ = ["CiliumReviewer", "reviewer"]

_KINDS = frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"})
_DENIES = ("ingressDeny", "egressDeny")


@dataclass(frozen=True, slots=True)
class CiliumReviewer:
    """Knows policies of Cilium, with one `spec` or several `specs`."""

    target: str = "cilium"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are policies of Cilium."""
        return kinds(documents) <= _KINDS

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return who may connect to the endpoints, and to whom they may."""
        return tell_ways([way for document in documents for way in _ways(document)])

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the policies so that what no rule allows is not denied by them."""
        found = []
        for document in documents:
            copy = annotated(document, reason)
            if "spec" in copy:
                copy["spec"] = _open(copy["spec"])
            if "specs" in copy:
                specs = copy["specs"]
                copy["specs"] = [_open(one) for one in specs] if isinstance(specs, list) else None
            found.append(copy)
        return Relaxed(
            found,
            "denies nothing by default",
            "kubectl",
            (
                "Cilium before 1.16 has no `enableDefaultDeny`: delete the policy there",
                "other policies that pick the pods still restrict them",
                "nothing is logged of what it refused; `hubble observe` shows all flows",
            ),
        )


def reviewer() -> CiliumReviewer:
    """Return the reviewer."""
    return CiliumReviewer()


def _open(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, Mapping):
        raise ExportError("the policy is malformed: `spec` is no mapping")
    kept = {key: value for key, value in spec.items() if key not in _DENIES}
    return {**kept, "enableDefaultDeny": {"ingress": False, "egress": False}}


def _ways(document: Mapping[str, Any]) -> Iterator[Way]:
    specs = [document["spec"]] if "spec" in document else listed(document, "specs")
    for spec in specs:
        if not isinstance(spec, Mapping):
            raise ExportError("the policy is malformed: `spec` is no mapping")
        for key, side in (("ingress", "from"), ("egress", "to")):
            direction: Direction = "in" if key == "ingress" else "out"
            if key not in spec:
                yield Way(direction, Peer("anybody"), None)
            for rule in listed(spec, key):
                yield from _of_rule(rule, direction, side)


def _of_rule(rule: Any, direction: Direction, side: str) -> Iterator[Way]:
    if not isinstance(rule, Mapping):
        raise ExportError("the policy is malformed: a rule is no mapping")
    peers = [
        Peer(_words(key.removeprefix(side), item), cidr=_cidr(key, item))
        for key, items in sorted(rule.items())
        if key.startswith(side) and key != "toPorts" and isinstance(items, list)
        for item in items
    ]
    entries = [one for one in listed(rule, "toPorts") if isinstance(one, Mapping)]
    ports = [each for one in entries for each in listed(one, "ports")]
    for peer in peers or [Peer("anybody")]:
        for port in ports_of(ports):
            yield Way(direction, peer, port)


def _words(kind: str, item: Any) -> str:
    text = item if isinstance(item, str) else json.dumps(item, sort_keys=True)
    return f"{kind} {text}"


def _cidr(key: str, item: Any) -> str | None:
    return item if key.endswith("CIDR") and isinstance(item, str) else None
