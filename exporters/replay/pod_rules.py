"""Rules in CEL about pods, of whatever engine: what becomes of one pod by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ethogram.contracts.policy_network import Endpoint, selects
from exporters.replay.admission_review import Claim, Refused, Undecided, review
from exporters.replay.pods import Pod
from exporters.replay.protocol import Denied, Judged, Outcome, Relaxation, Unjudged

__all__ = ["Rules", "is_for_pods", "judged", "matches", "picks", "rules_of_spec"]

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_VERBS = {"Deny": "refused", "Warn": "admitted with a warning", "Audit": "noted in the audit log"}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one policy.

    *place* is where its document has them, as a JSON pointer; None is in another document.
    """

    path: str
    name: str
    claims: Sequence[Claim]
    conditions: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    is_strict: bool = True
    place: str | None = "/spec/validations"


def rules_of_spec(path: str, name: str, spec: Mapping[str, Any]) -> Rules:
    """Return the rules in *spec*, which is laid out as that of a ValidatingAdmissionPolicy."""
    return Rules(
        path,
        name,
        claims=[
            Claim(each["expression"], each.get("message") or each["expression"], number)
            for number, each in enumerate(spec.get("validations") or ())
        ],
        conditions=[each["expression"] for each in spec.get("matchConditions") or ()],
        variables={each["name"]: each["expression"] for each in spec.get("variables") or ()},
        is_strict=spec.get("failurePolicy", "Fail") == "Fail",
    )


def judged(rules: Rules, pod: Pod, actions: Sequence[str]) -> Iterator[Outcome]:
    """Yield what *rules* make of *pod*; *actions* are `Deny`, `Warn` and `Audit`."""
    whom = pod.workloads[0] if pod.workloads else pod.key
    found = list(
        review(
            rules.claims,
            pod,
            conditions=rules.conditions,
            variables=rules.variables,
            is_strict=rules.is_strict,
        )
    )
    for one in found:
        match one:
            case Refused(claim, cause):
                yield Denied(
                    policy=rules.path,
                    rule=claim.message,
                    answer=_answer(actions, cause),
                    workload=whom,
                    count=pod.count,
                    relaxation=_relaxation(rules, claim),
                    effect="denied" if "Deny" in actions else "logged",
                )
            case Undecided(claim, reason):
                about = f"`{claim.message}`: {reason}" if claim else reason
                yield Unjudged(about, pod.count, rules.path, whom)
    for workload in pod.workloads or (whom,):
        yield Judged("pods", pod.count, workload, rules.path)


def _answer(actions: Sequence[str], cause: str | None) -> str:
    words = ", ".join(_VERBS.get(action, action) for action in dict.fromkeys(actions))
    return f"{words}: {cause}" if cause else words


def _relaxation(rules: Rules, claim: Claim) -> Relaxation:
    if rules.place is None:
        return Relaxation("change the pod as it says, or what the rule is told of the workload")
    step = {"op": "remove", "path": f"{rules.place}/{claim.number}"}
    words = f"change the pod as it says, or take validation {claim.number} out of `{rules.name}`"
    return Relaxation(words, (step,))


def is_for_pods(match: Mapping[str, Any]) -> bool:
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


def matches(match: Mapping[str, Any], pod: Pod) -> bool:
    """Return whether the selectors of *match* pick *pod*; an absent one picks any."""
    labels = pod.variants[0]["metadata"].get("labels") or {}
    namespace = {_NAMESPACE_NAME: pod.namespace}
    return picks(match.get("objectSelector"), labels) and picks(
        match.get("namespaceSelector"), namespace
    )


def picks(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Return whether *selector*, none of which picks anything, picks *labels*."""
    policy = {"metadata": {}, "spec": {"podSelector": selector or {}}}
    return selects(policy, Endpoint(labels=labels))
