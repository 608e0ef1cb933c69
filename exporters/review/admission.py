"""ValidatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import Baseline
from exporters.protocol import Artifact
from exporters.review.admission_refine import refine_admission
from exporters.review.cel_words import expressions_of, told_rules
from exporters.review.documents import annotated, changed, kinds, listed, part
from exporters.review.protocol import Refined, Relaxed, Told

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

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return what the rules ask, and what the bindings do about a pod that breaks one."""
        specs = [(one.get("kind"), part(one, "spec")) for one in documents]
        actions = sorted(
            {
                str(action)
                for kind, spec in specs
                if kind == _BINDING
                for action in listed(spec, "validationActions")
            }
        )
        policies = [spec for kind, spec in specs if kind == _POLICY]
        rules = [rule for spec in policies for rule in listed(spec, "validations")]
        variables = [one for spec in policies for one in listed(spec, "variables")]
        return told_rules(rules, _mode(actions), expressions_of(variables))

    def refine(
        self, existing: Sequence[Mapping[str, Any]], made: Artifact, baseline: Baseline
    ) -> Refined:
        """Return the policy *existing* with what its lists lack of *made*; rules stay."""
        del baseline  # all that it demands of pods is in *made*
        return refine_admission(existing, made)

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


def _mode(actions: Sequence[str]) -> str:
    words = {"Deny": "denies", "Warn": "warns", "Audit": "audits"}
    return " and ".join(words.get(action, action) for action in actions) or "is bound to nothing"


def reviewer() -> AdmissionReviewer:
    """Return the reviewer."""
    return AdmissionReviewer()
