"""Baseline -> Gatekeeper ConstraintTemplate and Constraint: what the workload's pods may ask for.

The rules are those of `exporters.admission`, for Gatekeeper's own CEL engine. The template holds
rules alone, and is named by a digest of them: all workloads with the same rules share it. What they
are told of a workload are the parameters of its constraint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension
from exporters import seccomp
from exporters.admission_build import PodRules
from exporters.admission_cel import Value
from exporters.admission_choices import SETTINGS
from exporters.admission_model import RESOURCES, Mode, PodPolicy, Variable, needed
from exporters.admission_objects import LABEL_LENGTH, policy_artifact, policy_metadata
from exporters.protocol import Artifact, Finding, Options

__all__ = ["NOTES", "RULES", "GatekeeperExporter", "exporter"]

# How the kinds of constraints begin; a digest of their template follows.
RULES = "EthogramPods"
NOTES = "EthogramNotes"

_ENGINE = "K8sNativeValidation"
_TARGET = "admission.k8s.gatekeeper.sh"
_DIGEST_LENGTH = 8
_ACTIONS: Mapping[Mode, str] = MappingProxyType({"audit": "dryrun", "warn": "warn", "deny": "deny"})
_STRING = {"type": "string"}
# A pod that goes is no pod to judge, and of its other subresources none brings a container.
_PARTS = ", ".join(f"'{resource.partition('/')[2]}'" for resource in RESOURCES)
_IS_POD = f"dyn(object) != null && request.?subResource.orValue('') in [{_PARTS}]"


@dataclass(frozen=True, slots=True)
class GatekeeperExporter:
    """Writes a template and a constraint, and both for its notes, for each container."""

    rules: PodRules
    name: str = "gatekeeper"
    summary: str = (
        "Gatekeeper ConstraintTemplate and Constraint: pods ask for no more than was used"
    )
    dimensions: frozenset[Dimension] = frozenset({"capabilities"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        self.rules.check(options)

    def unenforced(self, options: Options) -> str:
        """Return what a policy does until it is enforced."""
        return self.rules.unenforced(options)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the templates with their constraints, then what there is to know about them."""
        policy, findings = self.rules.policy(baseline, options)
        if policy is not None:
            documents = list(_documents(baseline, policy))
            action = f"{documents[1]['kind']}:spec.enforcementAction"
            reasons = policy.reasons("spec.targets[0].code[0].source.validations", action)
            yield policy_artifact(baseline, self.name, documents, reasons)
        yield from findings

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from self.rules.compare(baseline, others)


def exporter() -> GatekeeperExporter:
    """Return the exporter with the data that ships with it."""
    return GatekeeperExporter(PodRules(seccomp.exporter()))


def _documents(baseline: Baseline, policy: PodPolicy) -> Iterator[dict[str, Any]]:
    messages = {each.name: each.message for each in policy.claims}
    metadata = policy_metadata(baseline, policy, limit=LABEL_LENGTH)
    template = _template(RULES, policy, _claims(policy))
    yield template
    told = {**policy.constants, "messages": messages}
    yield _constraint(template, metadata, policy, _ACTIONS[policy.mode], told)
    # What is only noted must not be refused with the rest, so it has a constraint of its own.
    metadata = policy_metadata(baseline, policy, limit=LABEL_LENGTH, suffix=".notes")
    template = _template(NOTES, policy, _notes(policy))
    yield template
    yield _constraint(template, metadata, policy, "dryrun", policy.constants)


def _claims(policy: PodPolicy) -> list[dict[str, str]]:
    return [
        {
            "expression": f"!variables.applies || ({each.expression})",
            "messageExpression": f"string(variables.params.messages['{each.name}'])",
        }
        for each in policy.claims
    ]


def _notes(policy: PodPolicy) -> list[dict[str, str]]:
    return [
        {
            "expression": f"!variables.applies || ({each.expression}) == ''",
            "messageExpression": each.expression,
        }
        for each in policy.notes()
    ]


def _template(
    prefix: str, policy: PodPolicy, validations: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    texts = [text for each in validations for text in each.values()]
    variables = needed(_variables(policy), texts)
    used = {each.name for each in variables}
    schema = {name: _schema(value) for name, value in policy.constants.items() if name in used}
    if any("params.messages" in text for text in texts):
        schema["messages"] = _schema({})
    source = {
        "failurePolicy": "Fail",
        # What Gatekeeper would generate is not asked about containers that are added to a pod.
        "generateVAP": False,
        "variables": [{"name": each.name, "expression": each.expression} for each in variables],
        "validations": list(validations),
    }
    text = json.dumps([source, schema], sort_keys=True)
    kind = f"{prefix}{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]}"
    validation = {"openAPIV3Schema": {"type": "object", "properties": schema}}
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {
            "name": kind.lower(),
            "labels": {"app.kubernetes.io/managed-by": "ethogram"},
        },
        "spec": {
            "crd": {"spec": {"names": {"kind": kind}, "validation": validation}},
            "targets": [{"target": _TARGET, "code": [{"engine": _ENGINE, "source": source}]}],
        },
    }


def _variables(policy: PodPolicy) -> Iterator[Variable]:
    for name in policy.constants:
        yield Variable(name, f"variables.params.{name}")
    yield from policy.variables()
    # Its match has no place for an owner, and matches more requests than an API server's does.
    mine = f"variables.{policy.scope.value[0]}"
    either = policy.is_either(was="variables.was", value=mine)
    yield Variable("applies", _IS_POD if policy.scope.selector else f"{_IS_POD} && ({either})")


def _schema(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return _STRING
    if isinstance(value, Mapping):
        return {"type": "object", "additionalProperties": _STRING}
    return {"type": "array", "items": _STRING}


def _constraint(
    template: Mapping[str, Any],
    metadata: Mapping[str, Any],
    policy: PodPolicy,
    action: str,
    parameters: Mapping[str, Value],
) -> dict[str, Any]:
    selector = policy.scope.selector
    crd = template["spec"]["crd"]["spec"]
    known = crd["validation"]["openAPIV3Schema"]["properties"]
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": crd["names"]["kind"],
        "metadata": metadata,
        "spec": {
            "enforcementAction": action,
            "match": {
                "kinds": [{"apiGroups": [""], "kinds": ["Pod"]}],
                "scope": "Namespaced",
                "namespaces": [policy.namespace],
                **({"labelSelector": {"matchLabels": selector}} if selector else {}),
            },
            "parameters": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in parameters.items()
                if name in known
            },
        },
    }
