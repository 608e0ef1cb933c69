"""NetworkPolicies of `networking.k8s.io/v1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.review.documents import RELAXED_ANNOTATION, annotated, changed, kinds, listed, part
from exporters.review.protocol import Relaxed

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
