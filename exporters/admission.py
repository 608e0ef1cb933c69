"""Baseline -> ValidatingAdmissionPolicy and its binding: what the workload's pods may ask for.

A pod is judged when it is created, when it joins the workload by its labels, and where one of its
containers is new or changed. What was there before is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension
from exporters import seccomp
from exporters.admission_build import PodRules
from exporters.admission_choices import ACTIONS, SETTINGS
from exporters.admission_model import PodPolicy
from exporters.admission_objects import match_resources, policy_artifact, policy_metadata
from exporters.kubernetes import NAMESPACE_LABEL
from exporters.protocol import Artifact, Finding, Options

__all__ = ["AdmissionExporter", "exporter"]

_API = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class AdmissionExporter:
    """Writes one policy and one binding for each container of a Kubernetes workload."""

    rules: PodRules
    name: str = "admission"
    summary: str = "Kubernetes ValidatingAdmissionPolicy: pods ask for no more than was used"
    dimensions: frozenset[Dimension] = frozenset({"capabilities"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        self.rules.check(options)

    def unenforced(self, options: Options) -> str:
        """Return what a policy does until it is enforced."""
        return self.rules.unenforced(options)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy with its binding, then what there is to know about them."""
        policy, findings = self.rules.policy(baseline, options)
        if policy is not None:
            metadata = policy_metadata(baseline, policy)
            documents = [_policy(policy, metadata), _binding(policy, metadata)]
            action = "ValidatingAdmissionPolicyBinding:spec.validationActions"
            reasons = policy.reasons("spec.validations", action)
            yield policy_artifact(baseline, self.name, documents, reasons)
        yield from findings

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from self.rules.compare(baseline, others)


def exporter() -> AdmissionExporter:
    """Return the exporter with the data that ships with it."""
    return AdmissionExporter(PodRules(seccomp.exporter()))


def _policy(policy: PodPolicy, metadata: Mapping[str, Any]) -> dict[str, Any]:
    either = {"name": "pod-of-the-workload", "expression": policy.is_either()}
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata,
        "spec": {
            # An expression that fails has met a pod that nobody thought of: not one to let in.
            "failurePolicy": "Fail",
            "matchConstraints": match_resources(policy),
            **({} if policy.scope.selector else {"matchConditions": [either]}),
            "variables": [
                {"name": each.name, "expression": each.expression}
                for each in chain(policy.literals(), policy.variables())
            ],
            "validations": [
                {"expression": each.expression, "message": each.message, "reason": "Forbidden"}
                for each in policy.claims
            ],
            "auditAnnotations": [
                {"key": each.key, "valueExpression": each.expression} for each in policy.notes()
            ],
        },
    }


def _binding(policy: PodPolicy, metadata: Mapping[str, Any]) -> dict[str, Any]:
    labels = {NAMESPACE_LABEL: policy.namespace}
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata,
        "spec": {
            "policyName": metadata["name"],
            "validationActions": list(ACTIONS[policy.mode]),
            "matchResources": {"namespaceSelector": {"matchLabels": labels}},
        },
    }
