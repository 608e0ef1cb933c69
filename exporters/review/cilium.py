"""CiliumNetworkPolicies of `cilium.io/v2`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.review.documents import annotated, kinds
from exporters.review.protocol import Relaxed

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
