"""Takes policy documents of Kubernetes apart: what stands in them may be anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ethogram.errors import ExportError

__all__ = ["PolicyReading"]


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """Reads documents of *kind*, which its failures name."""

    kind: str

    def mapping(self, document: Any, key: str) -> Mapping[str, Any]:
        """Return the mapping at *key*, empty where there is none; `ExportError` for others."""
        value = document.get(key) if isinstance(document, Mapping) else None
        if not isinstance(value, Mapping | None) or not isinstance(document, Mapping):
            raise self.malformed(f"`{key}` is no mapping")
        return value or {}

    def list(self, document: Any, key: str) -> list[Any]:
        """Return the list at *key*, empty where there is none; `ExportError` for others."""
        value = document.get(key) if isinstance(document, Mapping) else None
        if not isinstance(value, list | None) or not isinstance(document, Mapping):
            raise self.malformed(f"`{key}` is no list")
        return value or []

    def meets(self, expression: Any, value: Any) -> bool:
        """Return whether a label's *value*, None where it is absent, meets *expression*."""
        values = self.list(expression, "values")
        match expression["operator"]:
            case "In":
                return value in values
            case "NotIn":
                return value not in values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case other:
                raise self.malformed(f"the operator {other!r}")

    def malformed(self, what: str) -> ExportError:
        """Return the failure that says *what* is malformed."""
        return ExportError(f"the {self.kind} is malformed: {what}")
