"""Kyverno's ValidatingPolicy, and rules in CEL of a ClusterPolicy: which pods they would refuse.

Pods are judged as if they were created. Rules by patterns are not judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.replay.admission_review import Claim
from exporters.replay.observations import Observations
from exporters.replay.pod_rules import Rules, is_for_pods, judged, matches, picks, rules_of_spec
from exporters.replay.pods import Pod, pods_of
from exporters.replay.protocol import Outcome, Policy, Unjudged

__all__ = ["KyvernoReplayer", "replayer"]

_OF_KINDS = {"ValidatingPolicy": "policies.kyverno.io/", "ClusterPolicy": "kyverno.io/"}
# What a rule may match by, of what a pod that was recorded tells.
_MATCHED = frozenset({"kinds", "namespaces", "operations", "selector"})


@dataclass(frozen=True, slots=True)
class KyvernoReplayer:
    """Answers as Kyverno does when it is asked about a pod."""

    target: str = "kyverno"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a policy of Kyverno that can have rules in CEL."""
        del path
        api = _OF_KINDS.get(str(document.get("kind")))
        return api is not None and str(document.get("apiVersion", "")).startswith(api)

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what the policies do to the pods of the recording, and to those handed in."""
        pods = list(pods_of(seen))
        for policy in policies:
            judge = _cluster_policy if policy.document["kind"] == "ClusterPolicy" else _validating
            try:
                yield from judge(policy, pods)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise ExportError(
                    f"`{policy.path}`: the policy is malformed: {type(error).__name__}: {error}"
                ) from error


def replayer() -> KyvernoReplayer:
    """Return the replayer."""
    return KyvernoReplayer()


def _validating(policy: Policy, pods: Sequence[Pod]) -> Iterator[Outcome]:
    spec, name = policy.document["spec"], policy.document["metadata"]["name"]
    match = spec.get("matchConstraints") or {}
    admission = (spec.get("evaluation") or {}).get("admission") or {}
    if not is_for_pods(match) or admission.get("enabled") is False:
        return
    rules = rules_of_spec(policy.path, name, spec)
    actions = spec.get("validationActions") or ["Deny"]
    for pod in pods:
        if matches(match, pod):
            yield from judged(rules, pod, actions)


def _cluster_policy(policy: Policy, pods: Sequence[Pod]) -> Iterator[Outcome]:
    spec = policy.document["spec"]
    webhook = spec.get("webhookConfiguration") or {}
    is_strict = webhook.get("failurePolicy", spec.get("failurePolicy", "Fail")) == "Fail"
    for number, rule in enumerate(spec["rules"]):
        validate = rule.get("validate") or {}
        found = _resources(rule)
        if "cel" not in validate or found is None or rule.get("exclude"):
            about = f"rule `{rule.get('name', number)}` is not in CEL, or matches by what is not"
            yield Unjudged(f"{about} recorded", 1, policy.path)
            continue
        rules = _rules(policy, rule, number, is_strict=is_strict)
        failure = validate.get("failureAction", spec.get("validationFailureAction", "Audit"))
        action = "Deny" if str(failure).lower() == "enforce" else "Audit"
        if action == "Audit" and spec.get("emitWarning"):
            action = "Warn"
        for pod in pods:
            if any(_is_matched(one, pod) for one in found):
                yield from judged(rules, pod, [action])


def _rules(policy: Policy, rule: Mapping[str, Any], number: int, *, is_strict: bool) -> Rules:
    cel = rule["validate"]["cel"]
    return Rules(
        policy.path,
        f"{policy.document['metadata']['name']}/{rule.get('name', number)}",
        claims=[
            Claim(each["expression"], each.get("message") or each["expression"], place)
            for place, each in enumerate(cel.get("expressions") or ())
        ],
        conditions=[each["expression"] for each in rule.get("celPreconditions") or ()],
        variables={each["name"]: each["expression"] for each in cel.get("variables") or ()},
        is_strict=is_strict,
        place=f"/spec/rules/{number}/validate/cel/expressions",
    )


def _resources(rule: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """Return what *rule* matches, None where a recording does not tell whether it does."""
    match = rule["match"]
    items = match.get("any") or [match]
    if match.get("all") or any(set(item) != {"resources"} for item in items):
        return None
    found = [item["resources"] for item in items]
    return None if any(set(one) - _MATCHED for one in found) else found


def _is_matched(resources: Mapping[str, Any], pod: Pod) -> bool:
    labels = pod.variants[0]["metadata"].get("labels") or {}
    return (
        any(kind in ("Pod", "v1/Pod", "*") for kind in resources["kinds"])
        and "CREATE" in (resources.get("operations") or ["CREATE"])
        and (not resources.get("namespaces") or pod.namespace in resources["namespaces"])
        and picks(resources.get("selector"), labels)
    )
