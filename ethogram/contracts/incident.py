"""An incident: related findings of one process tree, one JSON line, `ethogram.incident/1`.

It is told again whenever it grew: the last line of each `id` is the whole of it.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from ethogram.contracts.baseline_models import Subject
from ethogram.contracts.baseline_values import Count, Frozen, Text, Time
from ethogram.contracts.finding import Attack, Severity
from ethogram.contracts.finding_parts import ProcessEntry

__all__ = ["INCIDENT_SCHEMA", "MOST_MEMBERS", "Incident", "Member"]

INCIDENT_SCHEMA: Literal["ethogram.incident/1"] = "ethogram.incident/1"
# An incident names so many findings at most; *count* has them all.
MOST_MEMBERS = 32


class Member(Frozen):
    """One finding of an incident; its own lines say the rest."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    rule: Text
    title: Text
    severity: Severity
    observed: str


class Incident(Frozen):
    """Findings of one process tree, or of one container where the tree is not known.

    Each is within a minute of another. *severity* is the gravest of theirs, *title* that one's;
    *root* is where the tree began: the container's first process, what entered it, a login.
    """

    schema_name: Literal["ethogram.incident/1"] = Field(INCIDENT_SCHEMA, alias="schema")
    time: Time
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    title: Text
    severity: Severity
    workload: Subject
    instance_key: Text
    container_id: Text | None = None
    root: ProcessEntry | None = None
    findings: tuple[Member, ...]
    count: Count
    attack: tuple[Attack, ...]
    first_seen: Time
    last_seen: Time

    def line(self) -> str:
        """Return this as one line of JSON, without the line end."""
        return json.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False
        )
