"""Which targets' policies can be reviewed: our own, and those of installed packages.

A package adds one by an entry point of the group `ethogram.reviewers`, a function without
arguments that returns a `Reviewer`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

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


def reviewers() -> Mapping[str, Reviewer]:
    """Return every reviewer by its target, in alphabetical order.

    Raises `ExportError` that names the one that does not load.
    """
    factories: dict[str, Any] = {name: _factory(module) for name, module in _BUILT_IN.items()}
    for point in entry_points(group=GROUP):
        if point.name in factories:
            origin = point.dist.name if point.dist else point.value
            raise ExportError(
                f"two reviewers are called `{point.name}`; one is from `{origin}`",
                hint=f"uninstall `{origin}`, or rename its entry point",
            )
        factories[point.name] = point.load
    return MappingProxyType({name: _load(name, factories[name]) for name in sorted(factories)})


def reviewer_of(
    documents: Sequence[Mapping[str, Any]], *, target: str | None = None
) -> Reviewer | None:
    """Return who knows *documents*; None where nobody does, or not who knows *target*."""
    kind = None if target is None else target.partition(".")[0]
    return next(
        (one for name, one in reviewers().items() if kind in (None, name) and one.reads(documents)),
        None,
    )


def _factory(module: str) -> Any:
    return lambda: importlib.import_module(module).reviewer


def _load(name: str, factory: Any) -> Reviewer:
    try:
        reviewer = factory()()
    except Exception as error:  # whatever a foreign package raises while it is imported
        raise ExportError(
            f"reviewer `{name}` does not load: {type(error).__name__}: {error}",
            hint="upgrade or uninstall the package that provides it",
        ) from error
    if not isinstance(reviewer, Reviewer) or reviewer.target != name:
        raise ExportError(f"reviewer `{name}` is none: its factory returned {reviewer!r}")
    return reviewer
