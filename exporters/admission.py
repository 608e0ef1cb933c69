"""Baseline -> ValidatingAdmissionPolicy and its binding: what the workload's pods may ask for.

A pod is judged when it is created, when it joins the workload by its labels, and where one of its
containers is new or changed. What was there before is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.contracts.exports import artifact_path
from ethogram.errors import ExportError
from exporters import seccomp
from exporters.admission_cel import Scope, cel_list, cel_string
from exporters.admission_choices import ACTIONS, SETTINGS, Choices, read_choices
from exporters.admission_findings import findings_about, refusal
from exporters.admission_privileged import privilege_of
from exporters.admission_rules import Validation, digests_of, rules_of
from exporters.kubernetes import (
    NAMESPACE_LABEL,
    annotations_of,
    dump_documents,
    kind_part,
    object_name,
    stable_selector,
    subject_key,
)
from exporters.observed import require_observed
from exporters.overlap import overlap
from exporters.protocol import Artifact, Finding, Options, Reason

__all__ = ["AdmissionExporter", "exporter"]

_API = "admissionregistration.k8s.io/v1"
_RESOURCES = (
    (("CREATE", "UPDATE"), "pods"),
    # `kubectl debug` adds containers to a running pod here, and nowhere else.
    (("UPDATE",), "pods/ephemeralcontainers"),
)
_REGULAR = "(dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([])))"

# What it did with devices and settings of the kernel says whether it has to be privileged.
_NEEDED: frozenset[Dimension] = frozenset({"capabilities", "files"})


@dataclass(frozen=True, slots=True)
class AdmissionExporter:
    """Writes one policy and one binding for each container of a Kubernetes workload.

    *profiles* is the exporter whose profiles the pods have to name.
    """

    profiles: seccomp.SeccompExporter
    name: str = "admission"
    summary: str = "Kubernetes ValidatingAdmissionPolicy: pods ask for no more than was used"
    dimensions: frozenset[Dimension] = frozenset({"capabilities"})
    settings: Mapping[str, str] = field(default_factory=lambda: SETTINGS)

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        choices = read_choices(options)
        if choices.seccomp is not None:
            self.profiles.check(choices.seccomp)

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy with its binding, then what there is to know about them."""
        self.check(options)
        choices = read_choices(options)
        if reason := refusal(baseline):
            yield reason
            return
        require_observed(baseline, _NEEDED)
        privilege = privilege_of(baseline, choices.privileged)
        profiles: list[str] = []
        findings: list[Finding] = []
        if choices.seccomp is not None and not privilege.is_own:
            profiles, findings = self._profiles(baseline, choices.seccomp)
        items = list(rules_of(baseline, choices, privilege, profiles))
        validations = [item for item in items if isinstance(item, Validation)]
        artifact = _artifact(baseline, options, choices, privilege.containers, validations)
        yield replace(artifact, reasons=tuple(_reasons(validations, choices)))
        yield from (item for item in items if isinstance(item, Finding))
        yield from findings
        yield from findings_about(baseline, choices)

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield whose pods the policy of *baseline* picks besides its own."""
        yield from overlap(baseline, others)

    def _profiles(self, baseline: Baseline, options: Options) -> tuple[list[str], list[Finding]]:
        """Return the installed names of the profiles for *baseline*, one for each machine."""
        try:
            items = list(self.profiles.export(baseline, options))
        except ExportError as error:
            about = f"no seccomp profile is asked for, as there is none to be made: {error.message}"
            return [], [Finding("warning", about, hint=error.hint)]
        names = sorted(
            item.installs_as for item in items if isinstance(item, Artifact) and item.installs_as
        )
        kind = "denies" if options.enforce else "only logs"
        about = (
            f"pods have to name the seccomp profile that {kind}, and do not start on a node without"
            " that file"
        )
        hint = "`--to seccomp` with the same settings writes it; bring it to every node first"
        return names, [Finding("info", about, hint=hint, subject=" or ".join(names))]


def exporter() -> AdmissionExporter:
    """Return the exporter with the data that ships with it."""
    return AdmissionExporter(seccomp.exporter())


def _artifact(
    baseline: Baseline,
    options: Options,
    choices: Choices,
    privileged: Sequence[str],
    validations: Sequence[Validation],
) -> Artifact:
    subject = baseline.subject
    path = artifact_path(
        namespace=subject.namespace,
        kind=subject.kind,
        name=subject.name,
        unit=subject.container,
        target="admission",
        suffix="yaml",
    )
    parts = (subject.namespace, kind_part(subject.kind), subject.name, subject.container)
    metadata = {
        "name": object_name("ethogram", *map(str, parts)),
        "labels": {"app.kubernetes.io/managed-by": "ethogram"},
        "annotations": annotations_of(baseline, options),
    }
    documents = [
        _policy(baseline, metadata, privileged, validations),
        _binding(baseline, metadata, choices),
    ]
    return Artifact(path, "admission", subject_key(subject), dump_documents(documents))


def _reasons(validations: Sequence[Validation], choices: Choices) -> Iterator[Reason]:
    for number, each in enumerate(validations):
        yield Reason(f"spec.validations[{number}]", each.why, each.rules, each.message)
    yield Reason(
        "ValidatingAdmissionPolicyBinding:spec.validationActions",
        "default",
        source=f"setting `mode={choices.mode}`",
    )


def _policy(
    baseline: Baseline,
    metadata: Mapping[str, Any],
    privileged: Sequence[str],
    validations: Sequence[Validation],
) -> dict[str, Any]:
    selector = stable_selector(baseline.subject.selector)
    scope = Scope(selector, baseline.subject.kind, baseline.subject.name)
    match: dict[str, Any] = {"objectSelector": {"matchLabels": selector}} if selector else {}
    rules = [
        {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": list(operations),
            "resources": [resource],
            "scope": "Namespaced",
        }
        for operations, resource in _RESOURCES
    ]
    # A selector meets a request whose old or new object has the labels; so does this.
    either = f"{scope.claim('object')} || oldObject != null && {scope.claim('oldObject')}"
    conditions = [] if selector else [{"name": "pod-of-the-workload", "expression": either}]
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata,
        "spec": {
            # An expression that fails has met a pod that nobody thought of: not one to let in.
            "failurePolicy": "Fail",
            "matchConstraints": {"matchPolicy": "Equivalent", **match, "resourceRules": rules},
            **({"matchConditions": conditions} if conditions else {}),
            "variables": [
                {"name": name, "expression": expression}
                for name, expression in _variables(baseline, scope, privileged)
            ],
            "validations": [
                {"expression": each.expression, "message": each.message, "reason": "Forbidden"}
                for each in validations
            ],
            "auditAnnotations": [
                {"key": key, "valueExpression": expression}
                for key, expression in _annotations(baseline, scope)
            ],
        },
    }


def _binding(baseline: Baseline, metadata: Mapping[str, Any], choices: Choices) -> dict[str, Any]:
    labels = {NAMESPACE_LABEL: baseline.subject.namespace}
    return {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata,
        "spec": {
            "policyName": metadata["name"],
            "validationActions": list(ACTIONS[choices.mode]),
            "matchResources": {"namespaceSelector": {"matchLabels": labels}},
        },
    }


def _variables(
    baseline: Baseline, scope: Scope, privileged: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the variables that the rules use, each after those that it uses itself.

    To a type checker the three lists of containers are of three types: `dyn` lets them be added.
    """
    # A pod that joins by its labels is new to the workload, whatever it was before.
    is_new = f"oldObject == null || !({scope.claim('oldObject')})"
    yield "before", f"{is_new} ? dyn({{}}) : dyn(oldObject.spec)"
    # Without the comparison, a container that takes its profile from the pod would pass for the
    # same while the pod's changed.
    lists = ("containers", "initContainers", "ephemeralContainers")
    before = " + ".join(f"dyn(variables.before.?{each}.orValue([]))" for each in lists)
    yield (
        "known",
        f"object.spec.?securityContext == variables.before.?securityContext ? {before} : dyn([])",
    )
    yield "regular", f"{_REGULAR}.filter(c, !(c in variables.known))"
    yield (
        "ephemeral",
        "dyn(object.spec.?ephemeralContainers.orValue([])).filter(c, !(c in variables.known))",
    )
    yield "own", f"variables.regular.filter(c, c.name == {cel_string(_container(baseline))})"
    # Never one that is added to a running pod: whoever adds it chooses its name.
    others = f"variables.regular.filter(c, !(c.name in {cel_list(privileged)}))"
    yield "every", f"{others if privileged else 'variables.regular'} + variables.ephemeral"
    if digests := digests_of(baseline):
        ends = cel_list(f"@{digest}" for digest in digests)
        images = "variables.own.map(c, c.?image.orValue(''))"
        yield "strange", f"{images}.filter(i, !{ends}.exists(d, i.endsWith(d)))"


def _annotations(baseline: Baseline, scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield what is noted in the audit log and refused by no rule; an empty note is not written."""
    container = _container(baseline)
    missing = cel_string(f"no container `{container}`: the rules about it apply to nothing here")
    yield (
        "learnt-container-missing",
        f"{_REGULAR}.exists(c, c.name == {cel_string(container)}) ? '' : {missing}",
    )
    yield (
        "left-the-policy",
        f"oldObject != null && {scope.claim('oldObject')} && !({scope.claim('object')})"
        " ? 'changed so that the policy no longer applies to it' : ''",
    )
    if digests_of(baseline):
        yield "image-not-learnt", "variables.strange == [] ? '' : variables.strange[0]"


def _container(baseline: Baseline) -> str:
    return str(baseline.subject.container)
