"""What an API server does with a ValidatingAdmissionPolicy: a small model of it, for tests.

The expressions are evaluated as they stand, by Google's CEL engine. Matching, variables and what
happens to an error are as in `k8s.io/apiserver/pkg/admission/plugin/policy/validating`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

__all__ = [
    "Answer",
    "CelError",
    "bound",
    "evaluate",
    "has_labels",
    "is_asked_about",
    "problems",
    "problems_of_expression",
    "problems_of_variables",
    "review",
    "violations",
]

_ENVIRONMENT = cel.NewEnv(
    variables=dict.fromkeys(
        ("object", "oldObject", "variables", "request", "params"), cel.Type.DYN
    ),
    extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings()],
)
_SUBDOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REASONS = {"Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge"}


@dataclass(frozen=True)
class Answer:
    """What the policy says of one request, and what the binding makes of it."""

    is_matched: bool
    violations: tuple[str, ...] = ()
    annotations: Mapping[str, str] | None = None
    actions: tuple[str, ...] = ()

    @property
    def is_admitted(self) -> bool:
        return not (self.violations and "Deny" in self.actions)


class CelError(Exception):
    """An expression that gave no value."""


@cache
def _compiled(expression: str) -> Any:
    return _ENVIRONMENT.compile(expression)


def evaluate(expression: str, data: Mapping[str, Any] | None = None) -> Any:
    """Return the value of *expression*; raises `CelError` where it has none."""
    value = _compiled(expression).eval(data=dict(data or {}))
    if value.type() == cel.Type.ERROR:
        raise CelError(value.value())
    return value.plain_value()


def review(
    documents: Sequence[Mapping[str, Any]],
    pod: Mapping[str, Any],
    *,
    old: Mapping[str, Any] | None = None,
    namespace: str = "shop-staging",
    subresource: str = "",
) -> Answer:
    """Return the answer to creating *pod*, or to changing *old* into it."""
    policy, binding = (document["spec"] for document in documents)
    labels = binding["matchResources"]["namespaceSelector"]["matchLabels"]
    resource = f"pods/{subresource}" if subresource else "pods"
    operation = "CREATE" if old is None else "UPDATE"
    data: dict[str, Any] = {"object": pod, "oldObject": old, "request": {}}
    if labels != {"kubernetes.io/metadata.name": namespace}:
        return Answer(False)
    if not is_asked_about(policy["matchConstraints"], resource, operation, pod, old):
        return Answer(False)
    for condition in policy.get("matchConditions", []):
        if not evaluate(condition["expression"], data):
            return Answer(False)
    data["variables"] = bound(policy["variables"], data)
    found = tuple(violations(policy["validations"], data))
    notes = {
        each["key"]: evaluate(each["valueExpression"], data) for each in policy["auditAnnotations"]
    }
    return Answer(
        True,
        found,
        {key: note for key, note in notes.items() if note},
        tuple(binding["validationActions"]),
    )


def is_asked_about(
    match: Mapping[str, Any],
    resource: str,
    operation: str,
    pod: Mapping[str, Any],
    old: Mapping[str, Any] | None,
) -> bool:
    """Return whether a policy is asked about a request, by its rules and its selector."""
    wanted = match.get("objectSelector", {}).get("matchLabels", {})
    return has_labels(wanted, pod, old) and any(
        resource in rule["resources"] and operation in rule["operations"]
        for rule in match["resourceRules"]
    )


def has_labels(wanted: Mapping[str, str], *pods: Mapping[str, Any] | None) -> bool:
    """Return whether one of *pods* has the labels *wanted*."""
    return any(
        each is not None and wanted.items() <= each["metadata"].get("labels", {}).items()
        for each in pods
    )


def bound(
    declared: Sequence[Mapping[str, str]],
    data: Mapping[str, Any],
    first: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the variables after the engine's *first*; one that fails is missing, and fails what
    uses it."""
    known: dict[str, Any] = dict(first or {})
    for each in declared:
        try:
            known[each["name"]] = evaluate(each["expression"], {**data, "variables": known})
        except CelError:
            continue
    return known


def violations(validations: Sequence[Mapping[str, str]], data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the message of each validation that does not hold."""
    for each in validations:
        try:
            holds = evaluate(each["expression"], data)
        except CelError as error:
            yield f"expression failed: {error}"  # failurePolicy: Fail
            continue
        if holds is not True:
            words = each.get("messageExpression")
            yield evaluate(words, data) if words else each["message"]


def problems(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return why an API server would refuse *documents*, as far as no schema says."""
    return [*_problems_of_policy(documents[0]), *_problems_of_binding(*documents)]


def _problems_of_policy(policy: Mapping[str, Any]) -> Iterator[str]:
    spec, name = policy["spec"], policy["metadata"]["name"]
    if not _SUBDOMAIN.fullmatch(name):
        yield f"name {name}"
    if spec["failurePolicy"] not in ("Fail", "Ignore"):
        yield "failurePolicy"
    if spec["matchConstraints"]["matchPolicy"] not in ("Exact", "Equivalent"):
        yield "matchPolicy"
    for rule in spec["matchConstraints"]["resourceRules"]:
        if not set(rule["operations"]) <= {"CREATE", "UPDATE"} or rule["scope"] != "Namespaced":
            yield "resourceRules"
    known: set[str] = set()
    yield from problems_of_variables(spec["variables"], known)
    for each in spec["validations"]:
        yield from problems_of_expression(each["expression"], known, "BOOL")
        if each["reason"] not in _REASONS:
            yield f"reason {each['reason']}"
        if not each["message"].strip() or not each["message"].isprintable():
            yield f"message {each['message']!r}"
    for each in spec.get("matchConditions", []):
        yield from problems_of_expression(each["expression"], set(), "BOOL")
    keys = [each["key"] for each in spec["auditAnnotations"]]
    if len(set(keys)) < len(keys) or not all(map(_QUALIFIED.fullmatch, keys)):
        yield f"keys {keys}"
    for each in spec["auditAnnotations"]:
        yield from problems_of_expression(each["valueExpression"], known, "STRING")


def problems_of_variables(declared: Sequence[Mapping[str, str]], known: set[str]) -> Iterator[str]:
    """Yield what is wrong with variables, and add their names to *known*."""
    for each in declared:
        if not _IDENTIFIER.fullmatch(each["name"]) or each["name"] in known:
            yield f"variable {each['name']}"
        yield from problems_of_expression(each["expression"], known)
        known.add(each["name"])


def problems_of_expression(
    expression: str, known: set[str], wanted: str | None = None
) -> Iterator[str]:
    """Yield what is wrong with *expression*, of type *wanted*, that may use variables *known*.

    An API server takes no `DYN` for a `BOOL` or a `STRING`, whatever its value would be.
    """
    if "\n" in expression or len(expression) > 5 * 1024:
        yield f"length of {expression[:60]}"
    if unknown := set(re.findall(r"\bvariables\.(\w+)", expression)) - known:
        yield f"{unknown} in {expression[:60]}"
    try:
        found = str(_compiled(expression).return_type())
    except RuntimeError as error:
        yield str(error)
        return
    if wanted and found != wanted:
        yield f"{found} and not {wanted}: {expression[:60]}"


def _problems_of_binding(policy: Mapping[str, Any], binding: Mapping[str, Any]) -> Iterator[str]:
    actions = binding["spec"]["validationActions"]
    if not _SUBDOMAIN.fullmatch(binding["metadata"]["name"]):
        yield "name of the binding"
    if binding["spec"]["policyName"] != policy["metadata"]["name"]:
        yield "policyName"
    if (
        not actions
        or len(set(actions)) < len(actions)
        or not set(actions) <= {"Deny", "Warn", "Audit"}
    ):
        yield f"validationActions {actions}"
    if {"Deny", "Warn"} <= set(actions):
        yield "Deny and Warn together"
