"""ValidatingAdmissionPolicies: which pods would not have been admitted, by their own CEL.

A policy does nothing without a binding. Pods are judged as if they were created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.policy_network import Endpoint, selects
from ethogram.errors import ExportError
from exporters.replay.admission_review import Claim, Refused, Undecided, review
from exporters.replay.observations import Observations
from exporters.replay.pods import Pod, pods_of
from exporters.replay.protocol import (
    Denied,
    Effect,
    Judged,
    Outcome,
    Picked,
    Policy,
    Relaxation,
    Unjudged,
)

__all__ = ["AdmissionReplayer", "replayer"]

_API = "admissionregistration.k8s.io/"
_POLICY = "ValidatingAdmissionPolicy"
_BINDING = f"{_POLICY}Binding"
_NAMESPACE_NAME = "kubernetes.io/metadata.name"


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
    if not _is_for_pods(spec.get("matchConstraints") or {}):
        return
    for pod in pods:
        actions = [
            action
            for binding in mine
            if _matches(spec.get("matchConstraints") or {}, pod)
            and _matches(binding.get("matchResources") or {}, pod)
            for action in binding["validationActions"]
        ]
        if actions:
            yield from (Picked(one.path) for one in bound)
            yield from _of_pod(policy, pod, "denied" if "Deny" in actions else "logged", actions)


def _of_pod(policy: Policy, pod: Pod, effect: Effect, actions: Sequence[str]) -> Iterator[Outcome]:
    spec, name = policy.document["spec"], policy.document["metadata"]["name"]
    claims = [
        Claim(each["expression"], each.get("message") or each["expression"], number)
        for number, each in enumerate(spec.get("validations") or ())
    ]
    whom = pod.workloads[0] if pod.workloads else pod.key
    found = list(
        review(
            claims,
            pod,
            conditions=[each["expression"] for each in spec.get("matchConditions") or ()],
            variables={each["name"]: each["expression"] for each in spec.get("variables") or ()},
            is_strict=spec.get("failurePolicy", "Fail") == "Fail",
        )
    )
    for one in found:
        match one:
            case Refused(claim, cause):
                yield Denied(
                    policy=policy.path,
                    rule=claim.message,
                    answer=_answer(actions, cause),
                    workload=whom,
                    count=pod.count,
                    relaxation=_relaxation(name, claim),
                    effect=effect,
                )
            case Undecided(claim, reason):
                about = f"`{claim.message}`: {reason}" if claim else reason
                yield Unjudged(about, pod.count, policy.path, whom)
    for workload in pod.workloads or (whom,):
        yield Judged("pods", pod.count, workload, policy.path)


def _answer(actions: Sequence[str], cause: str | None) -> str:
    verbs = {
        "Deny": "refused",
        "Warn": "admitted with a warning",
        "Audit": "noted in the audit log",
    }
    words = ", ".join(verbs.get(action, action) for action in dict.fromkeys(actions))
    return f"{words}: {cause}" if cause else words


def _relaxation(name: str, claim: Claim) -> Relaxation:
    step = {"op": "remove", "path": f"/spec/validations/{claim.number}"}
    words = f"change the pod as it says, or take validation {claim.number} out of `{name}`"
    return Relaxation(words, (step,))


def _is_for_pods(match: Mapping[str, Any]) -> bool:
    """Return whether *match* is about pods that are created."""

    def has(rule: Mapping[str, Any]) -> bool:
        return (
            any(word in rule.get("resources", ()) for word in ("pods", "*", "*/*"))
            and any(word in rule.get("operations", ()) for word in ("CREATE", "*"))
            and any(word in rule.get("apiGroups", ()) for word in ("", "*"))
        )

    return any(map(has, match.get("resourceRules") or ())) and not any(
        map(has, match.get("excludeResourceRules") or ())
    )


def _matches(match: Mapping[str, Any], pod: Pod) -> bool:
    """Return whether the selectors of *match* pick *pod*; an absent one picks any."""
    labels = pod.variants[0]["metadata"].get("labels") or {}
    namespace = {_NAMESPACE_NAME: pod.namespace}
    return _picks(match.get("objectSelector"), labels) and _picks(
        match.get("namespaceSelector"), namespace
    )


def _picks(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    policy = {"metadata": {}, "spec": {"podSelector": selector or {}}}
    return selects(policy, Endpoint(labels=labels))
