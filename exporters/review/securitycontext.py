"""Patches that give a workload's containers their `securityContext`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ethogram.contracts.baseline import CapabilityValue
from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.errors import ExportError
from exporters.review.documents import kinds, listed, part
from exporters.review.protocol import Grant, Relaxed, Told

__all__ = ["SecurityContextReviewer", "reviewer"]

_TEMPLATED = frozenset(
    {"DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"}
)
_LISTS = ("containers", "initContainers")


@dataclass(frozen=True, slots=True)
class SecurityContextReviewer:
    """Knows strategic-merge patches of workloads."""

    target: str = "securitycontext"

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents* are a patch of one workload's containers."""
        return len(documents) == 1 and kinds(documents) <= _TEMPLATED | {"CronJob", "Pod"}

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return the fields that the patch sets, and the capabilities that it adds."""
        (document,) = documents
        grants = tuple(
            grant
            for container in _containers(document)
            for grant in _grants(part(container, "securityContext"))
        )
        fields = sum(grant.is_demand for grant in grants)
        return Told("denies", grants, f"{fields:,} field{'' if fields == 1 else 's'}")

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return a patch that takes the fields away; capabilities that it adds stay added."""
        del reason  # what a patch annotates stays when it is taken back
        (document,) = documents
        copy = deepcopy(dict(document))
        for container in _containers(copy):
            context = part(container, "securityContext")
            relaxed: dict[str, Any] = dict.fromkeys(context)
            if context.get("capabilities"):
                relaxed["capabilities"] = {**part(context, "capabilities"), "drop": None}
            container["securityContext"] = relaxed
        return Relaxed(
            [copy],
            "takes its fields away: what the pod, the image and the runtime say holds",
            "patch",
            ("a patch of a workload starts its pods anew",),
        )


def reviewer() -> SecurityContextReviewer:
    """Return the reviewer."""
    return SecurityContextReviewer()


def _containers(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the containers that the patch is about, themselves and no copies."""
    spec = part(document, "spec")
    if document.get("kind") == "CronJob":
        spec = part(part(spec, "jobTemplate"), "spec")
    if document.get("kind") != "Pod":
        spec = part(part(spec, "template"), "spec")
    found = [one for key in _LISTS for one in listed(spec, key)]
    if not all(isinstance(one, dict) for one in found):
        raise ExportError("the patch is malformed: a container is no mapping")
    return found


def _grants(context: Mapping[str, Any]) -> Iterator[Grant]:
    for key, value in sorted(context.items()):
        if key == "capabilities" and isinstance(value, dict):
            for name in listed(value, "drop"):
                yield Grant("field", f"capabilities.drop: {name}", is_demand=True)
            for name in listed(value, "add"):
                full = f"CAP_{str(name).upper().removeprefix('CAP_')}"
                known = CapabilityValue(name=full) if full in CAPABILITIES else None
                yield Grant("capability", str(name), known)
        elif value is not None:
            yield Grant("field", f"{key}: {json.dumps(value, sort_keys=True)}", is_demand=True)
