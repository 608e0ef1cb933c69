"""ConstraintTemplates of Gatekeeper and their constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.review.cel_words import told_rules
from exporters.review.documents import annotated, changed, listed, part
from exporters.review.protocol import Relaxed, Told

__all__ = ["GatekeeperReviewer", "reviewer"]

_TEMPLATES = "templates.gatekeeper.sh/"
_CONSTRAINTS = "constraints.gatekeeper.sh/"


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
        words = {"deny": "denies", "warn": "warns", "dryrun": "audits"}
        actions = {
            str(part(one, "spec").get("enforcementAction", "deny"))
            for one in documents
            if str(one.get("apiVersion")).startswith(_CONSTRAINTS)
        }
        rules = [
            rule
            for one in documents
            for target in listed(part(one, "spec"), "targets")
            if isinstance(target, Mapping)
            for code in listed(target, "code")
            if isinstance(code, Mapping)
            for rule in listed(part(code, "source"), "validations")
        ]
        mode = " and ".join(sorted(words.get(action, action) for action in actions))
        return told_rules(rules, mode or "is bound to nothing")

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the constraints so that they are only audited; templates decide nothing."""
        found = [
            changed(annotated(document, reason), "spec", enforcementAction="dryrun")
            if str(document.get("apiVersion")).startswith(_CONSTRAINTS)
            else dict(document)
            for document in documents
        ]
        return Relaxed(found, "admits every pod, and its audit lists whom it refused", "kubectl")


def reviewer() -> GatekeeperReviewer:
    """Return the reviewer."""
    return GatekeeperReviewer()
