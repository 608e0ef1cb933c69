"""Builds baselines that name peers, sockets and names, for tests of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.baseline import (
    VALUE_MODELS,
    Baseline,
    Dimension,
    Match,
    Observation,
    Rules,
    Subject,
    rule_id,
)

__all__ = ["EVIDENCE", "baseline_of", "rule_of"]

EVIDENCE = {
    "calls": 23,
    "windows": 5,
    "instances": 2,
    "recordings": 1,
    "phases": ("startup", "steady"),
    "first_seen": "2026-11-23T06:00:00Z",
    "last_seen": "2026-11-23T06:05:00Z",
    "executables": ("/usr/sbin/nginx",),
}


def rule_of(dimension: Dimension, value: Mapping[str, Any], **evidence: Any) -> dict[str, Any]:
    """Return the rule for *value* as a document; *evidence* replaces parts of `EVIDENCE`."""
    parsed = VALUE_MODELS[dimension].model_validate(value)
    return {"id": rule_id(dimension, parsed), "value": parsed, "evidence": EVIDENCE | evidence}


def baseline_of(
    *,
    subject: Mapping[str, Any] | None = None,
    namespace: str | None = None,
    quarantined: Sequence[Mapping[str, Any]] = (),
    **rules: Sequence[Mapping[str, Any]],
) -> Baseline:
    """Return a baseline of `shop-staging/Deployment/checkout` with *rules* by dimension.

    A rule is a value, or what `rule_of` returns. *namespace* is the pattern of its match.
    """
    who = {"namespace": "shop-staging", "kind": "Deployment", "name": "checkout"}
    who |= {"container": "nginx", **(subject or {})}
    documents = {
        dimension: [one if "evidence" in one else rule_of(dimension, one) for one in values]  # type: ignore[arg-type]  # pydantic refuses other words
        for dimension, values in rules.items()
    }
    return Baseline.model_validate(
        {
            "subject": Subject.model_validate(who),
            "match": Match(kind="Deployment", name="checkout", namespace=namespace),
            "inputs": (),
            "observation": Observation.model_validate(
                {"windows": 5, "instances": 2, "seconds": 25.0, "state": "complete"}
            ),
            "rules": Rules.model_validate(documents),
            "quarantined": quarantined,
        }
    )
