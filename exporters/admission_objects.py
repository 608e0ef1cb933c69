"""What the objects of several admission engines have in common: names, matching and the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.artifacts import Artifact, Reason
from ethogram.contracts.baseline import Baseline
from exporters.admission_model import RESOURCES, PodPolicy
from exporters.files import artifact_of
from exporters.kubernetes import dump_documents, kind_part, object_name

__all__ = ["LABEL_LENGTH", "match_resources", "policy_artifact", "policy_metadata"]

# Kyverno and Gatekeeper put the name of a policy into labels of their reports.
LABEL_LENGTH = 63
_NAME_LENGTH = 253


def policy_metadata(
    baseline: Baseline, policy: PodPolicy, *, limit: int = _NAME_LENGTH, suffix: str = ""
) -> dict[str, Any]:
    """Return name, labels and annotations; the name is at most *limit* long, with the *suffix*."""
    subject = baseline.subject
    parts = (subject.namespace, kind_part(subject.kind), subject.name, subject.container)
    name = object_name("ethogram", *map(str, parts), limit=limit - len(suffix))
    return {
        "name": name + suffix,
        "labels": {"app.kubernetes.io/managed-by": "ethogram"},
        "annotations": dict(policy.annotations),
    }


def match_resources(policy: PodPolicy) -> dict[str, Any]:
    """Return which requests about which pods an API server asks the policy about."""
    selector = policy.scope.selector
    match: dict[str, Any] = {"objectSelector": {"matchLabels": selector}} if selector else {}
    rules = [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": list(operations),
            "resources": [resource],
            "scope": "Namespaced",
        }
        for resource, operations in RESOURCES.items()
    ]
    return {"matchPolicy": "Equivalent", **match, "resourceRules": rules}


def policy_artifact(
    baseline: Baseline,
    target: str,
    documents: Sequence[Mapping[str, Any]],
    reasons: tuple[Reason, ...],
) -> Artifact:
    """Return *documents* as the file of *target* for the container of *baseline*."""
    content = dump_documents(documents)
    return artifact_of(baseline.subject, target, "yaml", content, reasons=reasons)
