"""ConstraintTemplates of Gatekeeper and their constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exporters.review.documents import annotated, changed
from exporters.review.protocol import Relaxed

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
