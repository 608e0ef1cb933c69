"""How much of the possible a profile still allows, beside the default of a container engine."""

from __future__ import annotations

from collections.abc import Mapping

from ethogram.contracts.artifacts import Measure
from ethogram.contracts.syscall_names import names_of
from exporters.protocol import Finding
from exporters.runtime_base import DefaultProfile
from exporters.seccomp_content import Content

__all__ = ["tightness", "tightness_finding"]


def tightness(content: Content, default: DefaultProfile) -> Mapping[str, Measure]:
    """Return how many of the machine's calls the profile allows, and how many *default* does."""
    machine = content.archs[0]
    known = names_of(machine)
    by_argument = len(default.by_argument[machine])
    return {
        "arch": machine,
        "calls": len(known & set(content.calls)),
        "calls_by_argument": len(known & set(content.filters)),
        "of": len(known),
        "default": default.name,
        "default_calls": len(default.calls[machine]) + by_argument,
        "default_calls_by_argument": by_argument,
    }


def tightness_finding(found: Mapping[str, Measure]) -> Finding:
    """Return what `tightness` *found* in words."""
    filtered = found["calls_by_argument"]
    by_argument = f" ({filtered} by argument)" if filtered else ""
    return Finding(
        "info",
        f"{found['calls']} of {found['of']} calls of {found['arch']} are allowed{by_argument}; the"
        f" default profile of {found['default']} allows {found['default_calls']}"
        f" ({found['default_calls_by_argument']} by argument)",
        of_whole=True,
    )
