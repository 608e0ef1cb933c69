"""NetworkPolicies of `networking.k8s.io/v1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import Baseline
from exporters.protocol import Artifact
from exporters.review.documents import RELAXED_ANNOTATION, annotated, changed, kinds, listed, part
from exporters.review.network_words import tell_ways
from exporters.review.networkpolicy_refine import refine_policy
from exporters.review.networkpolicy_ways import ways_of
from exporters.review.protocol import Refined, Relaxed, Told

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
        return tell_ways([way for document in documents for way in ways_of(document)])

    def refine(
        self, existing: Sequence[Mapping[str, Any]], made: Artifact, baseline: Baseline
    ) -> Refined:
        """Return the policy *existing* with the peers and ports that it lacks of *made*."""
        del baseline  # all that it demands of a network is in *made*
        return refine_policy(existing, made)

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
