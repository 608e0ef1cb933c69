"""The structure of the objects of Kyverno and Gatekeeper, as their CRDs have it; for tests.

No package validates them. Fields and enums are those of
kyverno/api charts/kyverno-api/templates/crds/policies.kyverno.io_validatingpolicies.yaml (17de548),
kyverno/kyverno api/kyverno/v1 (spec_types.go, rule_types.go), and open-policy-agent/gatekeeper
pkg/drivers/k8scel/schema/schema.go (15ac3f7), pkg/target/matchcrd_constant.go (0c7f5e0),
charts/gatekeeper/crds/constrainttemplate-customresourcedefinition.yaml. An unknown field is an
error here; the engines drop it, which is worse: a template's `matchConditions` would be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["check"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


def _one_line(text: str) -> str:
    assert text.strip()
    assert text.isprintable()
    return text


def _no_wildcard(text: str) -> str:
    assert not set(text) & set("*?")
    return text


Labels = dict[str, Annotated[str, AfterValidator(_no_wildcard)]]
# An API server takes no more than 5 KiB of an expression that is not a variable.
Expression = Annotated[str, AfterValidator(_one_line), Field(max_length=5 * 1024)]
Message = Annotated[str, AfterValidator(_one_line)]
# A label's value in the reports of Kyverno and the statuses of Gatekeeper.
Name = Annotated[
    str,
    Field(
        max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
    ),
]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


class _Metadata(_Strict):
    name: Name
    labels: Labels = {}
    annotations: dict[str, str] = {}


class _Named(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
    expression: Expression


class _Validation(_Strict):
    expression: Expression
    message: Message


class _AuditAnnotation(_Strict):
    key: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.]*$")]
    value_expression: Expression


class _Selector(_Strict):
    match_labels: Annotated[Labels, Field(min_length=1)]


class _Rule(_Strict):
    api_groups: list[str]
    api_versions: list[str]
    operations: list[Literal["CREATE", "UPDATE"]]
    resources: list[str]
    scope: Literal["Namespaced"]


class _MatchConstraints(_Strict):
    match_policy: Literal["Exact", "Equivalent"]
    object_selector: _Selector | None = None
    namespace_selector: _Selector
    resource_rules: Annotated[list[_Rule], Field(min_length=1)]


class _Controllers(_Strict):
    controllers: Annotated[list[str], Field(max_length=0)]


class _Autogen(_Strict):
    pod_controllers: _Controllers


class _ValidatingPolicySpec(_Strict):
    validation_actions: Annotated[list[Literal["Deny", "Audit", "Warn"]], Field(min_length=1)]
    failure_policy: Literal["Fail", "Ignore"]
    autogen: _Autogen
    match_constraints: _MatchConstraints
    match_conditions: list[_Named] = []
    variables: list[_Named]
    validations: Annotated[list[_Validation], Field(min_length=1)]
    audit_annotations: list[_AuditAnnotation] = []


class _ValidatingPolicy(_Strict):
    api_version: Literal["policies.kyverno.io/v1", "policies.kyverno.io/v1beta1"]
    kind: Literal["ValidatingPolicy"]
    metadata: _Metadata
    spec: _ValidatingPolicySpec


class _Resources(_Strict):
    kinds: list[Literal["Pod"]]
    namespaces: list[Namespace]
    operations: list[Literal["CREATE", "UPDATE"]]
    selector: _Selector | None = None


class _Filter(_Strict):
    resources: _Resources


class _Any(_Strict):
    any: Annotated[list[_Filter], Field(min_length=1)]


class _Cel(_Strict):
    variables: list[_Named]
    expressions: Annotated[list[_Validation], Field(min_length=1)]


class _Validate(_Strict):
    failure_action: Literal["Audit", "Enforce"]
    cel: _Cel


class _KyvernoRule(_Strict):
    name: Annotated[str, Field(max_length=63)]
    match: _Any
    cel_preconditions: list[_Named] = []
    validate_: Annotated[_Validate, Field(alias="validate")]


class _Webhook(_Strict):
    failure_policy: Literal["Fail", "Ignore"]


class _ClusterPolicySpec(_Strict):
    background: bool
    emit_warning: bool = False
    webhook_configuration: _Webhook
    rules: Annotated[list[_KyvernoRule], Field(min_length=1)]


class _ClusterPolicy(_Strict):
    api_version: Literal["kyverno.io/v1"]
    kind: Literal["ClusterPolicy"]
    metadata: _Metadata
    spec: _ClusterPolicySpec


class _CrdNames(_Strict):
    kind: Annotated[str, Field(max_length=63, pattern=r"^[A-Z][A-Za-z0-9]*$")]


class _Items(_Strict):
    type: Literal["string"]


class _Property(_Strict):
    type: Literal["string", "array", "object"]
    items: _Items | None = None
    additional_properties: _Items | None = None


class _Schema(_Strict):
    type: Literal["object"]
    properties: dict[str, _Property]


class _SchemaOf(_Strict):
    schema_: Annotated[_Schema, Field(alias="openAPIV3Schema")]


class _CrdSpec(_Strict):
    names: _CrdNames
    validation: _SchemaOf


class _Crd(_Strict):
    spec: _CrdSpec


class _CelValidation(_Strict):
    expression: Expression
    message_expression: Expression


class _Source(_Strict):
    failure_policy: Literal["Fail", "Ignore"]
    generate_vap: Annotated[bool, Field(alias="generateVAP")]
    variables: list[_Named]
    validations: Annotated[list[_CelValidation], Field(min_length=1)]


class _Code(_Strict):
    engine: Literal["K8sNativeValidation"]
    source: _Source


class _Target(_Strict):
    target: Literal["admission.k8s.gatekeeper.sh"]
    code: Annotated[list[_Code], Field(min_length=1, max_length=1)]


class _TemplateSpec(_Strict):
    crd: _Crd
    targets: Annotated[list[_Target], Field(min_length=1, max_length=1)]


class _Template(_Strict):
    api_version: Literal["templates.gatekeeper.sh/v1"]
    kind: Literal["ConstraintTemplate"]
    metadata: _Metadata
    spec: _TemplateSpec


class _Kinds(_Strict):
    api_groups: list[str]
    kinds: list[str]


class _Match(_Strict):
    kinds: list[_Kinds]
    scope: Literal["*", "Cluster", "Namespaced"]
    namespaces: Annotated[list[Namespace], Field(min_length=1)]
    label_selector: _Selector | None = None


class _ConstraintSpec(_Strict):
    enforcement_action: Literal["deny", "warn", "dryrun"]
    match: _Match
    parameters: dict[str, Any]


class _Constraint(_Strict):
    api_version: Literal["constraints.gatekeeper.sh/v1beta1"]
    kind: str
    metadata: _Metadata
    spec: _ConstraintSpec


_OF_KIND: Mapping[str, type[BaseModel]] = {
    "ClusterPolicy": _ClusterPolicy,
    "ConstraintTemplate": _Template,
    "ValidatingPolicy": _ValidatingPolicy,
}
# What the engine binds itself, and what it keeps for later.
_RESERVED = re.compile(r"params|anyObject|gatekeeper_internal_.*")
_TYPES = {"string": str, "array": list, "object": dict}


def check(documents: Sequence[Mapping[str, Any]]) -> None:
    """Raise `ValidationError` or `AssertionError` for what the CRDs or the engines refuse."""
    for document in documents:
        model = _OF_KIND.get(document["kind"], _Constraint)
        model.model_validate(document)
    for template, constraint in zip(documents[::2], documents[1::2], strict=False):
        if template["kind"] == "ConstraintTemplate":
            _check_pair(template, constraint)


def _check_pair(template: Mapping[str, Any], constraint: Mapping[str, Any]) -> None:
    crd = template["spec"]["crd"]["spec"]
    assert constraint["kind"] == crd["names"]["kind"]
    assert template["metadata"]["name"] == constraint["kind"].lower()
    source = template["spec"]["targets"][0]["code"][0]["source"]
    assert not any(_RESERVED.fullmatch(each["name"]) for each in source["variables"])
    declared = crd["validation"]["openAPIV3Schema"]["properties"]
    parameters = constraint["spec"]["parameters"]
    assert set(parameters) == set(declared)
    for name, value in parameters.items():
        assert isinstance(value, _TYPES[declared[name]["type"]])
