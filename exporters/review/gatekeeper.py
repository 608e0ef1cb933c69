"""ConstraintTemplates of Gatekeeper and their constraints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.gatekeeper import NOTES
from exporters.review.cel_words import told_rules
from exporters.review.documents import annotated, changed, listed, part
from exporters.review.protocol import Relaxed, Told

__all__ = ["GatekeeperReviewer", "reviewer"]

_TEMPLATES = "templates.gatekeeper.sh/"
_CONSTRAINTS = "constraints.gatekeeper.sh/"
_MESSAGE = re.compile(r"string\(variables\.params\.messages\['([a-zA-Z-]+)'\]\)")


@dataclass(frozen=True, slots=True)
class GatekeeperReviewer:
    """Knows templates and constraints of Gatekeeper."""

    target: str = "gatekeeper"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are templates or constraints."""
        return all(
            str(one.get("apiVersion")).startswith((_TEMPLATES, _CONSTRAINTS)) for one in documents
        )

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return what the templates ask, and what the constraints do about a pod that breaks it."""
        asking = [one for one in documents if not _kind(one).startswith(NOTES)]
        constraints = {_kind(one): part(one, "spec") for one in asking if _is_constraint(one)}
        rules: list[Any] = []
        told: dict[str, str] = {}
        for template in asking:
            if not _is_constraint(template):
                parameters = part(constraints.get(_kind(template), {}), "parameters")
                messages = part(parameters, "messages")
                rules += [_with_message(rule, messages) for rule in _rules(template)]
                told |= {name: _literals(value) for name, value in parameters.items()}
        words = {"deny": "denies", "warn": "warns", "dryrun": "audits"}
        actions = {str(spec.get("enforcementAction", "deny")) for spec in constraints.values()}
        mode = " and ".join(sorted(words.get(action, action) for action in actions))
        return told_rules(rules, mode or "is bound to nothing", told)

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the constraints so that they are only audited; templates decide nothing."""
        found = [
            changed(annotated(document, reason), "spec", enforcementAction="dryrun")
            if _is_constraint(document)
            else dict(document)
            for document in documents
        ]
        return Relaxed(found, "admits every pod, and its audit lists whom it refused", "kubectl")


def _is_constraint(document: Mapping[str, Any]) -> bool:
    return str(document.get("apiVersion")).startswith(_CONSTRAINTS)


def _kind(document: Mapping[str, Any]) -> str:
    """Return the kind of the constraints that *document* is, or is the template of."""
    if _is_constraint(document):
        return str(document.get("kind"))
    crd = part(part(part(document, "spec"), "crd"), "spec")
    return str(part(crd, "names").get("kind"))


def _rules(template: Mapping[str, Any]) -> list[Any]:
    return [
        rule
        for target in listed(part(template, "spec"), "targets")
        if isinstance(target, Mapping)
        for code in listed(target, "code")
        if isinstance(code, Mapping)
        for rule in listed(part(code, "source"), "validations")
    ]


def _with_message(rule: Any, messages: Mapping[str, Any]) -> Any:
    """Return *rule* with the message that its expression picks from a constraint's parameters."""
    if not isinstance(rule, Mapping):
        return rule
    found = _MESSAGE.fullmatch(str(rule.get("messageExpression")))
    return {**rule, "message": messages.get(found[1])} if found else rule


def _literals(value: Any) -> str:
    return " ".join(f"'{one}'" for one in value) if isinstance(value, list) else ""


def reviewer() -> GatekeeperReviewer:
    """Return the reviewer."""
    return GatekeeperReviewer()
