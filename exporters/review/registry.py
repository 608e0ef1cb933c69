"""Which targets' policies can be reviewed: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.reviewers`, a function without
arguments that returns a `Reviewer`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ethogram.contracts.plugins import Registry
from ethogram.errors import ExportError
from exporters.review.protocol import Reviewer

__all__ = ["GROUP", "reviewer_of", "reviewers"]

GROUP = "ethogram.reviewers"
# One module a target; each has a function `reviewer`.
_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "admission": "exporters.review.admission",
        "cilium": "exporters.review.cilium",
        "gatekeeper": "exporters.review.gatekeeper",
        "kyverno": "exporters.review.kyverno",
        "networkpolicy": "exporters.review.networkpolicy",
        "seccomp": "exporters.review.seccomp",
        "securitycontext": "exporters.review.securitycontext",
        "systemd": "exporters.review.systemd",
    }
)


_REGISTRY: Registry[Reviewer] = Registry(
    "reviewer", GROUP, _BUILT_IN, Reviewer, ExportError, named="target"
)


def reviewers() -> Mapping[str, Reviewer]:
    """Return every reviewer by its target, in alphabetical order.

    Raises `ExportError` that names the one that does not load.
    """
    return _REGISTRY.all()


def reviewer_of(
    documents: Sequence[Mapping[str, Any]], *, target: str | None = None
) -> Reviewer | None:
    """Return who knows *documents*; None where nobody does, or not who knows *target*."""
    kind = None if target is None else target.partition(".")[0]
    return next(
        (one for name, one in reviewers().items() if kind in (None, name) and one.reads(documents)),
        None,
    )
