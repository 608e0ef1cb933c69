"""How much of the possible a profile still allows, beside the default of a container engine."""

from __future__ import annotations

from ethogram.contracts.syscall_names import names_of
from exporters.protocol import Finding
from exporters.runtime_base import DefaultProfile
from exporters.seccomp_content import Content

__all__ = ["tightness"]


def tightness(content: Content, default: DefaultProfile) -> Finding:
    """Return how many of the machine's calls the profile allows, and how many *default* does."""
    machine = content.archs[0]
    known = names_of(machine)
    allowed = len(known & set(content.calls))
    filtered = len(known & set(content.filters))
    by_argument = f" ({filtered} by argument)" if filtered else ""
    theirs = len(default.calls[machine]) + len(default.by_argument[machine])
    return Finding(
        "info",
        f"{allowed} of {len(known)} calls of {machine} are allowed{by_argument}; the default"
        f" profile of {default.name} allows {theirs} ({len(default.by_argument[machine])} by"
        " argument)",
        of_whole=True,
    )
