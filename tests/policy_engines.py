"""What Kyverno and Gatekeeper do with a policy: small models of them, for tests.

The expressions are evaluated as they stand, by Google's CEL engine, with the variables that each
engine binds, as their sources have it: kyverno/kyverno pkg/cel/policies/vpol/{engine,compiler} and
pkg/engine/handlers/validation/validate_cel.go; open-policy-agent/gatekeeper pkg/drivers/k8scel and
pkg/target. `judge` takes a ValidatingAdmissionPolicy too, so that the three can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from tests.vap import Answer, bound, evaluate, has_labels, is_asked_about, review, violations

__all__ = ["judge", "problems_of_types", "remove"]

Document = Mapping[str, Any]
_BIND_OBJECT = "request.operation == 'DELETE' && object == null ? oldObject : object"
_BIND_PARAMS = "!has(params.spec.parameters) ? null : params.spec.parameters"
_USE = re.compile(r"\bvariables\.(\w+)")


def judge(
    documents: Sequence[Document],
    pod: Mapping[str, Any] | None,
    *,
    old: Mapping[str, Any] | None = None,
    namespace: str = "shop-staging",
    subresource: str = "",
    operation: str | None = None,
) -> Answer:
    """Return the answer of the engine that *documents* are for."""
    asked = operation or ("CREATE" if old is None else "UPDATE")
    match documents[0]["kind"]:
        case "ValidatingAdmissionPolicy":
            assert pod is not None
            return review(documents, pod, old=old, namespace=namespace, subresource=subresource)
        case "ValidatingPolicy":
            return _kyverno(documents[0], pod, old, namespace, subresource, asked)
        case "ClusterPolicy":
            return _kyverno_1(documents[0], pod, old, namespace, subresource, asked)
    return _gatekeeper(documents, pod, old, namespace, subresource, asked)


def remove(documents: Sequence[Document], pod: Mapping[str, Any]) -> Answer:
    """Return the answer to deleting *pod*."""
    return judge(documents, None, old=pod, operation="DELETE")


def _kyverno(
    policy: Document,
    pod: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    namespace: str,
    subresource: str,
    operation: str,
) -> Answer:
    spec = policy["spec"]
    match = spec["matchConstraints"]
    resource = f"pods/{subresource}" if subresource else "pods"
    in_namespace = match["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": namespace
    }
    if not in_namespace or pod is None:
        return Answer(False)
    if not is_asked_about(match, resource, operation, pod, old):
        return Answer(False)
    # Where there is no object, Kyverno has an empty one.
    data: dict[str, Any] = {"object": pod or {}, "oldObject": old or {}, "request": {}}
    if not all(evaluate(each["expression"], data) for each in spec.get("matchConditions", ())):
        return Answer(False)
    data["variables"] = bound(spec["variables"], data)
    # The first failure ends it.
    found = tuple(violations(spec["validations"], data))[:1]
    notes = {
        each["key"]: evaluate(each["valueExpression"], data) for each in spec["auditAnnotations"]
    }
    noted = {key: note for key, note in notes.items() if note}
    return Answer(True, found, noted, tuple(spec["validationActions"]))


def _kyverno_1(
    policy: Document,
    pod: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    namespace: str,
    subresource: str,
    operation: str,
) -> Answer:
    (rule,) = policy["spec"]["rules"]
    ((resources,),) = (item.values() for item in rule["match"]["any"])
    is_matched = (
        "Pod" in resources["kinds"]
        and subresource in ("", "ephemeralcontainers")
        and namespace in resources["namespaces"]
        and operation in resources["operations"]
        and has_labels(resources.get("selector", {}).get("matchLabels", {}), pod, old)
    )
    data: dict[str, Any] = {"object": pod, "oldObject": old, "request": {}}
    if not is_matched or not all(
        evaluate(each["expression"], data) for each in rule.get("celPreconditions", ())
    ):
        return Answer(False)
    inner = rule["validate"]["cel"]
    data["variables"] = bound(inner["variables"], data)
    found = tuple(violations(inner["expressions"], data))[:1]
    action = {"Enforce": "Deny", "Audit": "Audit"}[rule["validate"]["failureAction"]]
    return Answer(True, found, {}, (action,))


def _gatekeeper(
    documents: Sequence[Document],
    pod: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    namespace: str,
    subresource: str,
    operation: str,
) -> Answer:
    """Return the answer of the first template; what the second notes is in its annotations."""
    request = {"operation": operation, "kind": {"kind": "Pod"}}
    if subresource:  # the API server leaves it out where there is none
        request["subResource"] = subresource
    answers = [
        _constraint(template, constraint, pod, old, namespace, request)
        for template, constraint in zip(documents[::2], documents[1::2], strict=True)
    ]
    first, notes = answers
    told = {f"{number}": text for number, text in enumerate(notes.violations)}
    return Answer(first.is_matched, first.violations, told, first.actions)


def _constraint(
    template: Document,
    constraint: Document,
    pod: Mapping[str, Any] | None,
    old: Mapping[str, Any] | None,
    namespace: str,
    request: Mapping[str, Any],
) -> Answer:
    assert template["metadata"]["name"] == constraint["kind"].lower()
    match = constraint["spec"]["match"]
    labels = match.get("labelSelector", {}).get("matchLabels", {})
    if namespace not in match["namespaces"] or not has_labels(labels, pod, old):
        return Answer(False)
    source = template["spec"]["targets"][0]["code"][0]["source"]
    data: dict[str, Any] = {"object": pod, "oldObject": old, "request": request}
    first = {
        "anyObject": evaluate(_BIND_OBJECT, data),
        "params": evaluate(_BIND_PARAMS, {"params": constraint}),
    }
    data["variables"] = bound(source["variables"], data, first)
    found = tuple(violations(source["validations"], data))
    action = {"deny": "Deny", "warn": "Warn", "dryrun": "Audit"}
    return Answer(True, found, {}, (action[constraint["spec"]["enforcementAction"]],))


def problems_of_types(
    variables: Iterable[Mapping[str, str]],
    claims: Mapping[str, str],
    first: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Yield which expressions do not compile where each variable has the type that it was given.

    So engines do it: *claims* maps an expression to the type that it has to have. The objects are
    maps to Kyverno before 1.15 and of any type to the others.
    """
    for of_objects in (cel.Type.DYN, cel.Type.Map(cel.Type.STRING, cel.Type.DYN)):
        types = {"request": cel.Type.DYN, "params": cel.Type.DYN}
        types |= dict.fromkeys(("object", "oldObject"), of_objects)
        types |= {f"variables_{name}": kind for name, kind in (first or {}).items()}
        for each in variables:
            kind, problem = _typed(each["expression"], types)
            types[f"variables_{each['name']}"] = kind
            if problem:
                yield f"{each['name']}: {problem}"
        for expression, wanted in claims.items():
            kind, problem = _typed(expression, types)
            if problem or str(kind) != wanted:
                yield f"{expression}: {problem or kind}"


def _typed(expression: str, types: Mapping[str, Any]) -> tuple[Any, str]:
    extensions = [ext_optional.ExtOptional(), ext_strings.ExtStrings()]
    environment = cel.NewEnv(variables=dict(types), extensions=extensions)
    try:
        return environment.compile(_USE.sub(r"variables_\1", expression)).return_type(), ""
    except RuntimeError as error:
        return cel.Type.DYN, str(error)
