"""What an API server with the `openreports.io/v1alpha1` definitions takes, as a JSON Schema.

Written after the definitions that the project publishes (Apache-2.0), field by field; what those do
not name is refused here, as `kubectl apply --validate=strict` does.
"""

from __future__ import annotations

from typing import Any

__all__ = ["REPORT"]

_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}
_RESULTS = ["pass", "fail", "warn", "error", "skip"]


def _object(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required),
            "additionalProperties": False}  # fmt: skip


_REFERENCE = _object(apiVersion=_TEXT, kind=_TEXT, namespace=_TEXT, name=_TEXT, uid=_TEXT,
                     resourceVersion=_TEXT, fieldPath=_TEXT)  # fmt: skip
_RESULT = _object(
    "policy",
    source=_TEXT,
    policy=_TEXT,
    rule=_TEXT,
    category=_TEXT,
    severity={"enum": ["critical", "high", "medium", "low", "info"]},
    timestamp=_object("seconds", "nanos", seconds=_NUMBER, nanos=_NUMBER),
    result={"enum": _RESULTS},
    scored={"type": "boolean"},
    resources={"type": "array", "items": _REFERENCE},
    resourceSelector={"type": "object"},
    message=_TEXT,
    properties={"type": "object", "additionalProperties": _TEXT},
)
REPORT = _object(
    "apiVersion",
    "kind",
    "metadata",
    apiVersion={"const": "openreports.io/v1alpha1"},
    kind={"enum": ["Report", "ClusterReport"]},
    metadata=_object(
        "name",
        name={"type": "string", "maxLength": 253,
              "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"},
        namespace=_TEXT,
        labels={"type": "object", "additionalProperties": _TEXT},
        annotations={"type": "object", "additionalProperties": _TEXT},
    ),
    source=_TEXT,
    scope=_REFERENCE,
    scopeSelector={"type": "object"},
    configuration={"type": "object"},
    summary=_object(**dict.fromkeys(_RESULTS, _NUMBER)),
    results={"type": "array", "items": _RESULT},
)  # fmt: skip
