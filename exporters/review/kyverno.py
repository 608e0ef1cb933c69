"""Policies of Kyverno: `ValidatingPolicy`, and the older `ClusterPolicy` and `Policy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError
from exporters.review.cel_words import expressions_of, told_rules
from exporters.review.documents import annotated, changed, kinds, listed, part
from exporters.review.protocol import Relaxed, Told

__all__ = ["KyvernoReviewer", "reviewer"]

_BY_CEL = frozenset({"ValidatingPolicy", "NamespacedValidatingPolicy"})
_BY_PATTERN = frozenset({"ClusterPolicy", "Policy"})


@dataclass(frozen=True, slots=True)
class KyvernoReviewer:
    """Knows the policies of Kyverno that validate."""

    target: str = "kyverno"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are policies of Kyverno."""
        return kinds(documents) <= _BY_CEL | _BY_PATTERN and all(
            "kyverno.io" in str(one.get("apiVersion")) for one in documents
        )

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return what the rules ask, and what is done about a pod that breaks one."""
        rules: list[Any] = []
        variables: list[Any] = []
        modes: set[str] = set()
        for document in documents:
            spec = part(document, "spec")
            if document.get("kind") in _BY_CEL:
                rules += listed(spec, "validations")
                variables += listed(spec, "variables")
                modes |= {str(action).lower() for action in listed(spec, "validationActions")}
                continue
            of_all = spec.get("validationFailureAction", "Audit")
            for rule in listed(spec, "rules"):
                rules += _expressions(rule)
                validate = part(rule, "validate")
                variables += listed(part(validate, "cel"), "variables")
                modes.add(str(validate.get("failureAction", of_all)).lower())
                if spec.get("emitWarning") is True:
                    modes.add("warn")
        words = {"deny": "denies", "enforce": "denies", "warn": "warns", "audit": "audits"}
        mode = " and ".join(sorted(words.get(one, one) for one in modes))
        return told_rules(rules, mode or "audits", expressions_of(variables))

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the policies so that they report and refuse nothing."""
        found = []
        for document in documents:
            copy = annotated(document, reason)
            if document.get("kind") in _BY_CEL:
                copy = changed(copy, "spec", validationActions=["Audit"], failurePolicy="Ignore")
            else:
                rules = [_audited(rule) for rule in listed(part(copy, "spec"), "rules")]
                copy = changed(
                    copy,
                    "spec",
                    validationFailureAction="Audit",
                    failurePolicy="Ignore",
                    rules=rules,
                )
                copy["spec"].pop("validationFailureActionOverrides", None)
            found.append(copy)
        return Relaxed(found, "admits every pod, and reports whom it refused", "kubectl")


def reviewer() -> KyvernoReviewer:
    """Return the reviewer."""
    return KyvernoReviewer()


def _audited(rule: Any) -> dict[str, Any]:
    if not isinstance(rule, dict):
        raise ExportError("the policy is malformed: a rule is no mapping")
    if "validate" not in rule:
        return rule
    audited = changed(rule, "validate", failureAction="Audit")
    audited["validate"].pop("failureActionOverrides", None)
    return audited


def _expressions(rule: Any) -> list[Any]:
    if not isinstance(rule, dict):
        raise ExportError("the policy is malformed: a rule is no mapping")
    validate = part(rule, "validate")
    return listed(part(validate, "cel"), "expressions") or [{"message": validate.get("message")}]
