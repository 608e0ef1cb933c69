"""What a host is to policies: facts that decide whether what they ask for can be had here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Fitness", "PolicyHost", "Verdict"]

Verdict: TypeAlias = Literal["starts", "starts but", "does not start", "cannot tell"]


@dataclass(frozen=True, slots=True)
class PolicyHost:
    """One host. None is what could not be found out.

    *runtimes* are those that are installed, with their versions; *known_calls* are those of the
    asked names that libseccomp resolves. *installed* says of a profile's installed name which
    digest is there, None where nothing is; it is None itself on a host without a kubelet.
    *network_plugins* are the types in the CNI configuration.
    """

    machine: str
    kernel: str
    runtimes: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    libseccomp: str | None = None
    known_calls: frozenset[str] | None = None
    actions: frozenset[str] | None = None
    actions_logged: frozenset[str] | None = None
    installed: Mapping[str, str | None] | None = None
    network_plugins: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fitness:
    """What becomes of one policy file on a host, and why."""

    path: str
    target: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()
