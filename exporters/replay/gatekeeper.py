"""Gatekeeper's constraints with templates in CEL: which pods they would refuse.

A template does nothing without a constraint. Pods are judged as if they were created. Templates in
Rego are not judged.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

from ethogram.contracts.keys import WorkloadKey
from ethogram.errors import ExportError
from exporters.replay.admission_review import Claim
from exporters.replay.observations import Observations
from exporters.replay.pod_rules import Rules, judged, matches, picks
from exporters.replay.pods import Pod, pods_of
from exporters.replay.protocol import Judged, Outcome, Picked, Policy, Unjudged

__all__ = ["GatekeeperReplayer", "replayer"]

_TEMPLATES = "templates.gatekeeper.sh/"
_CONSTRAINTS = "constraints.gatekeeper.sh/"
_TEMPLATE = "ConstraintTemplate"
_ENGINE = "K8sNativeValidation"
_ACTIONS = MappingProxyType({"deny": "Deny", "warn": "Warn", "dryrun": "Audit"})
_MATCHED = frozenset({"kinds", "scope", "namespaces", "labelSelector", "namespaceSelector"})
_MESSAGE = re.compile(r"string\(variables\.params\.messages\['([^'\\]+)'\]\)")


@dataclass(frozen=True, slots=True)
class GatekeeperReplayer:
    """Answers as Gatekeeper's webhook does by its engine for CEL."""

    target: str = "gatekeeper"

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document* is a template of constraints, or a constraint."""
        del path
        api = str(document.get("apiVersion", ""))
        is_template = document.get("kind") == _TEMPLATE and api.startswith(_TEMPLATES)
        return is_template or api.startswith(_CONSTRAINTS)

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what the constraints do to the pods of the recording, and to those handed in."""
        pods = list(pods_of(seen))
        path = ""
        try:
            templates = {}
            for one in policies:
                path = one.path
                if one.document["kind"] == _TEMPLATE:
                    templates[one.document["spec"]["crd"]["spec"]["names"]["kind"]] = one
            parts: list[list[Outcome]] = []
            for policy in policies:
                path = policy.path
                if policy.document["kind"] != _TEMPLATE:
                    template = templates.get(policy.document["kind"])
                    parts.append(list(_of_constraint(policy, template, pods)))
            yield from _once(parts)
            used = {policy.document["kind"] for policy in policies}
            for kind in sorted(templates.keys() - used):
                about = f"`{kind}` has no constraint here: alone it does nothing"
                yield Unjudged(about, 1, templates[kind].path)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            raise ExportError(
                f"`{path}`: the policy is malformed: {type(error).__name__}: {error}"
            ) from error


def replayer() -> GatekeeperReplayer:
    """Return the replayer."""
    return GatekeeperReplayer()


def _of_constraint(
    policy: Policy, template: Policy | None, pods: Sequence[Pod]
) -> Iterator[Outcome]:
    name, spec = policy.document["metadata"]["name"], policy.document.get("spec") or {}
    action = _ACTIONS.get(spec.get("enforcementAction") or "deny")
    match = spec.get("match") or {}
    source = None if template is None else _source(template)
    if template is None:
        yield Unjudged(f"the template of constraint `{name}` is not here", 1, policy.path)
    elif source is None:
        yield Unjudged(f"the template of `{name}` is not in CEL", 1, policy.path)
    elif action is None or set(match) - _MATCHED:
        about = f"constraint `{name}` acts, or matches, by what is not judged"
        yield Unjudged(about, 1, policy.path)
    else:
        rules = _rules(policy, source, spec.get("parameters") or {})
        for pod in pods:
            if _is_matched(match, pod):
                yield Picked(template.path)
                yield from judged(rules, pod, [action])


def _once(parts: Sequence[Sequence[Outcome]]) -> Iterator[Outcome]:
    """Yield the outcomes of constraints; a pod that several of one file judged counts once."""
    amounts: dict[tuple[str | None, int | WorkloadKey], int] = {}
    for outcomes in parts:
        mine: dict[tuple[str | None, int | WorkloadKey], int] = defaultdict(int)
        for one in outcomes:
            if isinstance(one, Judged):
                mine[one.policy, one.workload] += one.count
            else:
                yield one
        for whom, number in mine.items():
            amounts[whom] = max(number, amounts.get(whom, 0))
    for (path, workload), number in amounts.items():
        yield Judged("pods", number, workload, path)


def _source(template: Policy) -> Mapping[str, Any] | None:
    """Return the rules of *template* in CEL, which go before those in Rego."""
    for target in template.document["spec"]["targets"]:
        for code in target.get("code") or ():
            if code["engine"] == _ENGINE:
                source: Mapping[str, Any] = code["source"]
                return source
    return None


def _rules(policy: Policy, source: Mapping[str, Any], parameters: Mapping[str, Any]) -> Rules:
    # JSON of what a constraint holds is CEL of the same value.
    own = {"params": json.dumps(parameters), "anyObject": "object"}
    declared = {each["name"]: each["expression"] for each in source.get("variables") or ()}
    return Rules(
        policy.path,
        policy.document["metadata"]["name"],
        claims=[
            Claim(each["expression"], _message(each, parameters), number)
            for number, each in enumerate(source.get("validations") or ())
        ],
        conditions=[each["expression"] for each in source.get("matchConditions") or ()],
        variables=own | declared,
        is_strict=source.get("failurePolicy", "Fail") == "Fail",
        place=None,
    )


def _message(validation: Mapping[str, Any], parameters: Mapping[str, Any]) -> str:
    """Return what is said of a pod that is refused, as far as that does not depend on the pod."""
    told = _MESSAGE.fullmatch(validation.get("messageExpression") or "")
    if told and told[1] in (parameters.get("messages") or {}):
        return str(parameters["messages"][told[1]])
    return str(validation.get("message") or validation["expression"])


def _is_matched(match: Mapping[str, Any], pod: Pod) -> bool:
    kinds = match.get("kinds") or [{}]
    names = match.get("namespaces")
    return (
        any(
            any(word in kind.get("kinds", ("*",)) for word in ("Pod", "*"))
            and any(word in kind.get("apiGroups", ("*",)) for word in ("", "*"))
            for kind in kinds
        )
        and match.get("scope", "*") in ("*", "Namespaced")
        and (not names or any(fnmatchcase(pod.namespace, name) for name in names))
        and matches({"namespaceSelector": match.get("namespaceSelector")}, pod)
        and picks(match.get("labelSelector"), pod.variants[0]["metadata"].get("labels") or {})
    )
