"""Baseline -> Kyverno policy: what the workload's pods may ask for.

The rules are those of `exporters.admission`. Kyverno evaluates them as a webhook, reports them for
pods that are there already, and stops at the first that fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension
from exporters import seccomp
from exporters.admission_build import PodRules
from exporters.admission_choices import ACTIONS, SETTINGS, one_of
from exporters.admission_model import PodPolicy
from exporters.admission_objects import (
    LABEL_LENGTH,
    match_resources,
    policy_artifact,
    policy_metadata,
)
from exporters.kubernetes import NAMESPACE_LABEL
from exporters.protocol import Artifact, Finding, Options

__all__ = ["KyvernoExporter", "exporter"]

_SETTINGS: Mapping[str, str] = MappingProxyType(
    dict(SETTINGS)
    | {
        "kind": "`ValidatingPolicy` (default) or `ClusterPolicy`, which Kyverno 1.17 deprecates",
        "kyverno-api": "version of `policies.kyverno.io`: `v1` (default) or `v1beta1`",
    }
)
_KINDS = MappingProxyType({"ValidatingPolicy": False, "ClusterPolicy": True})
_VERSIONS = MappingProxyType({"v1": "v1", "v1beta1": "v1beta1"})
_NO_AUTOGEN = "pod-policies.kyverno.io/autogen-controllers"
_CLUSTER_POLICY = Finding(
    "warning",
    "Kyverno 1.17 deprecates `ClusterPolicy`, which notes nothing about images and labels: what is"
    " not refused is not seen",
    hint="leave out `kind=ClusterPolicy` where Kyverno has `ValidatingPolicy`",
)


@dataclass(frozen=True, slots=True)
class KyvernoExporter:
    """Writes one policy for each container of a Kubernetes workload."""

    rules: PodRules
    name: str = "kyverno"
    summary: str = "Kyverno ValidatingPolicy: pods ask for no more than was used"
    dimensions: frozenset[Dimension] = frozenset({"capabilities"})
    settings: Mapping[str, str] = field(default_factory=lambda: _SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        self.rules.check(options)
        _is_cluster_policy(options)
        _api(options)

    def unenforced(self, options: Options) -> str:
        """Return what a policy does until it is enforced."""
        return self.rules.unenforced(options)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy, then what there is to know about it."""
        self.check(options)
        policy, findings = self.rules.policy(baseline, options)
        if policy is not None:
            metadata = policy_metadata(baseline, policy, limit=LABEL_LENGTH)
            if _is_cluster_policy(options):
                document = _cluster_policy(policy, metadata)
                rule = "spec.rules[0].validate"
                reasons = policy.reasons(f"{rule}.cel.expressions", f"{rule}.failureAction")
                yield policy_artifact(baseline, self.name, [document], reasons)
                yield _CLUSTER_POLICY
            else:
                document = _validating_policy(policy, metadata, _api(options))
                reasons = policy.reasons("spec.validations", "spec.validationActions")
                yield policy_artifact(baseline, self.name, [document], reasons)
        yield from findings

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from self.rules.compare(baseline, others)


def exporter() -> KyvernoExporter:
    """Return the exporter with the data that ships with it."""
    return KyvernoExporter(PodRules(seccomp.exporter()))


def _is_cluster_policy(options: Options) -> bool:
    return one_of(options.settings, "kind", _KINDS, "ValidatingPolicy")


def _api(options: Options) -> str:
    return one_of(options.settings, "kyverno-api", _VERSIONS, "v1")


def _validating_policy(
    policy: PodPolicy, metadata: Mapping[str, Any], version: str
) -> dict[str, Any]:
    either = {"name": "pod-of-the-workload", "expression": policy.is_either()}
    match = match_resources(policy)
    rules = match.pop("resourceRules")
    labels = {NAMESPACE_LABEL: policy.namespace}
    return {
        "apiVersion": f"policies.kyverno.io/{version}",
        "kind": "ValidatingPolicy",
        "metadata": metadata,
        "spec": {
            "validationActions": list(ACTIONS[policy.mode]),
            "failurePolicy": "Fail",
            # A rule for pods is rewritten for Deployments and others unless it is told not to: by
            # replacing text, and these know nothing of debugging containers and of what was before.
            "autogen": {"podControllers": {"controllers": []}},
            "matchConstraints": {
                **match,
                "namespaceSelector": {"matchLabels": labels},
                "resourceRules": rules,
            },
            **({} if policy.scope.selector else {"matchConditions": [either]}),
            "variables": _variables(policy),
            "validations": [
                {"expression": each.expression, "message": each.message} for each in policy.claims
            ],
            "auditAnnotations": [
                {"key": each.key, "valueExpression": each.expression} for each in policy.notes()
            ],
        },
    }


def _cluster_policy(policy: PodPolicy, metadata: Mapping[str, Any]) -> dict[str, Any]:
    annotations = {**metadata["annotations"], _NO_AUTOGEN: "none"}
    selector = policy.scope.selector
    resources = {
        # `Pod` is the debugging containers of a running pod as well.
        "kinds": ["Pod"],
        "namespaces": [policy.namespace],
        "operations": ["CREATE", "UPDATE"],
        **({"selector": {"matchLabels": selector}} if selector else {}),
    }
    either = {"name": "pod-of-the-workload", "expression": policy.is_either()}
    return {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {**metadata, "annotations": annotations},
        "spec": {
            "background": True,
            **({"emitWarning": True} if policy.mode == "warn" else {}),
            "webhookConfiguration": {"failurePolicy": "Fail"},
            "rules": [
                {
                    "name": "pods-ask-for-no-more-than-was-used",
                    "match": {"any": [{"resources": resources}]},
                    **({} if selector else {"celPreconditions": [either]}),
                    "validate": {
                        "failureAction": "Enforce" if policy.mode == "deny" else "Audit",
                        "cel": {
                            "variables": _variables(policy),
                            "expressions": [
                                {"expression": each.expression, "message": each.message}
                                for each in policy.claims
                            ],
                        },
                    },
                }
            ],
        },
    }


def _variables(policy: PodPolicy) -> list[dict[str, str]]:
    return [
        {"name": each.name, "expression": each.expression}
        for each in chain(policy.literals(), policy.variables())
    ]
