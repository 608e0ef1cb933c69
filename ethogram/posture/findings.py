"""What an audit finds: a field of an object, who owns it, what was used of it, what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ethogram.contracts.finding import SEVERITIES, Severity
from ethogram.indicators.compliance import Tags
from ethogram.posture.objects import Reference, Source
from ethogram.posture.pods import Path, field_of
from ethogram.posture.standards import Level, Version

__all__ = [
    "Evidence",
    "Exempted",
    "Exposure",
    "PostureFinding",
    "Report",
    "Unreadable",
    "Verdict",
    "shown_value",
]

# Of what a field grants, the recordings show that it was: used, used in part, not used; or they
# do not show whether it was.
Verdict = Literal["used", "partly", "unused", "unknown"]
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Evidence:
    """What recordings show of what a field grants.

    *words* say it. *context* is the securityContext, *spec* the part of the pod's spec, that what
    was used supports: empty where a patch by the rule alone is as good, or nothing can be taken
    away. *rules* are those of the baseline behind it.
    """

    verdict: Verdict
    words: str
    context: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    seconds: float | None = None
    instances: int = 0
    windows: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Exempted:
    """A person's decision that a finding stands: until the end of day *expires*, in UTC."""

    owner: str
    reason: str
    expires: str
    source: str


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the pods are reached: ports of the host, and the services before them."""

    host_ports: tuple[int, ...] = ()
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PostureFinding:
    """One field of one owner's pods, or of another object, that is not as a rule asks.

    *found_in* is the object that was read, *source* where. *pods* counts the running pods that it
    was found in, on so many *nodes*; *image_digests* are of what they run there. It was there at
    *first_seen* and, of a live cluster, at *last_seen*. *exemption* is in force; *expired* was.
    """

    check: str
    title: str
    severity: Severity
    owner: Reference
    found_in: Reference
    source: Source
    path: Path
    place: str
    value: Any
    required: str
    detail: str = ""
    level: Level | None = None
    container: str = ""
    container_kind: str = ""
    image: str = ""
    capabilities: tuple[str, ...] = ()
    service_account: str = ""
    exposure: Exposure = Exposure()
    pods: int = 0
    nodes: int = 0
    image_digests: tuple[str, ...] = ()
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    tags: tuple[Tags, ...] = ()
    cis: tuple[tuple[str, str], ...] = ()
    evidence: Evidence | None = None
    patch: Mapping[str, Any] | None = None
    exemption: Exempted | None = None
    expired: Exempted | None = None

    @property
    def field(self) -> str:
        """The path of the field in words."""
        return field_of(self.path)

    @property
    def container_path(self) -> Path | None:
        """Where the container stands that it is about; None where it is about none."""
        keys = ("containers", "initContainers", "ephemeralContainers")
        at = next((depth for depth, part in enumerate(self.path) if part in keys), None)
        return None if at is None or not self.container else self.path[: at + 2]

    @property
    def rank(self) -> int:
        """The severity as a number: the graver, the higher."""
        return SEVERITIES.index(self.severity)

    @property
    def fingerprint(self) -> str:
        """What stays the same from audit to audit, wherever the object was read."""
        owner = (self.owner.kind, self.owner.namespace, self.owner.name)
        parts = (*owner, self.check, self.detail, self.container, self.place)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def message(self) -> str:
        """What is wrong, in a line: the field, its value, what is required."""
        where = f" in {self.container_kind} `{self.container}`" if self.container else ""
        if self.container_kind in ("init", "ephemeral"):
            where = f" in {self.container_kind} container `{self.container}`"
        value = "is not set" if self.value is None else f"is {shown_value(self.value)}"
        return f"{self.title}{where}: `{self.field}` {value}; required: {self.required}"


def shown_value(value: object) -> str:
    """Return *value* in a word or two; a long one is cut."""
    words = value if isinstance(value, str) else json.dumps(value, default=str)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}..."


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a document of one, that could not be read, and why."""

    place: str
    cause: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that an audit has to say. *findings* stand gravest first."""

    findings: tuple[PostureFinding, ...]
    objects: int
    workloads: int
    level: Level
    version: Version
    benchmark: str
    unreadable: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def open(self) -> tuple[PostureFinding, ...]:
        """The findings that nobody exempted."""
        return tuple(one for one in self.findings if one.exemption is None)
