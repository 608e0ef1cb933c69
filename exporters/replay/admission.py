"""ValidatingAdmissionPolicies: which pods would not have been admitted, by their own CEL.

A policy does nothing without a binding. Pods are judged as if they were created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.replay.observations import Observations
from exporters.replay.pod_rules import is_for_pods, judged, matches, rules_of_spec
from exporters.replay.pods import Pod, pods_of
from exporters.replay.protocol import (
    Outcome,
    Picked,
    Policy,
    Unjudged,
)

__all__ = ["AdmissionReplayer", "replayer"]

_API = "admissionregistration.k8s.io/"
_POLICY = "ValidatingAdmissionPolicy"
_BINDING = f"{_POLICY}Binding"


@dataclass(frozen=True, slots=True)
class AdmissionReplayer:
    """Answers as an API server does with a policy and its bindings."""

    target: str = "admission"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a ValidatingAdmissionPolicy or a binding of one."""
        del path
        return document.get("kind") in (_POLICY, _BINDING) and str(
            document.get("apiVersion", "")
        ).startswith(_API)

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what the policies do to the pods of the recording, and to those handed in."""
        bindings = [one for one in policies if one.document["kind"] == _BINDING]
        pods = list(pods_of(seen))
        for policy in policies:
            if policy.document["kind"] != _POLICY:
                continue
            try:
                yield from _of_policy(policy, bindings, pods)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise ExportError(
                    f"`{policy.path}`: the policy is malformed: {type(error).__name__}: {error}"
                ) from error


def replayer() -> AdmissionReplayer:
    """Return the replayer."""
    return AdmissionReplayer()


def _of_policy(
    policy: Policy, bindings: Sequence[Policy], pods: Sequence[Pod]
) -> Iterator[Outcome]:
    name = policy.document["metadata"]["name"]
    bound = [one for one in bindings if one.document["spec"]["policyName"] == name]
    mine = [one.document["spec"] for one in bound]
    if not mine:
        yield Unjudged(f"`{name}` has no binding here: alone it does nothing", 1, policy.path)
        return
    spec = policy.document["spec"]
    if spec.get("paramKind") or any(binding.get("paramRef") for binding in mine):
        yield Unjudged(f"`{name}` takes parameters, and they are not here", 1, policy.path)
        return
    if not is_for_pods(spec.get("matchConstraints") or {}):
        return
    rules = rules_of_spec(policy.path, name, spec)
    for pod in pods:
        actions = [
            action
            for binding in mine
            if matches(spec.get("matchConstraints") or {}, pod)
            and matches(binding.get("matchResources") or {}, pod)
            for action in binding["validationActions"]
        ]
        if actions:
            yield from (Picked(one.path) for one in bound)
            yield from judged(rules, pod, actions)
