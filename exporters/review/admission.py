"""ValidatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.review.documents import annotated, changed, kinds
from exporters.review.protocol import Relaxed

__all__ = ["AdmissionReviewer", "reviewer"]

_POLICY = "ValidatingAdmissionPolicy"
_BINDING = "ValidatingAdmissionPolicyBinding"


@dataclass(frozen=True, slots=True)
class AdmissionReviewer:
    """Knows policies of `admissionregistration.k8s.io`."""

    target: str = "admission"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are policies or bindings."""
        return kinds(documents) <= {_POLICY, _BINDING}

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the policy with bindings that audit, and so that no error of its own refuses."""
        found = []
        for document in documents:
            copy = annotated(document, reason)
            if document.get("kind") == _BINDING:
                copy = changed(copy, "spec", validationActions=["Audit"])
            elif document.get("kind") == _POLICY:
                # An API server refuses by a policy that does not compile, whatever the binding.
                copy = changed(copy, "spec", failurePolicy="Ignore")
            found.append(copy)
        return Relaxed(
            found, "admits every pod, and notes in the audit log whom it refused", "kubectl"
        )


def reviewer() -> AdmissionReviewer:
    """Return the reviewer."""
    return AdmissionReviewer()
