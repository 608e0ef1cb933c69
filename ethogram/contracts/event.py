"""An event that `ethogram watch --events` tells: one JSON line, schema `ethogram.event/1`.

Nothing is wrong with it: it is what happened, for whoever stores and searches that elsewhere. Text
that a workload chose is escaped.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from ethogram.contracts.baseline_models import Subject
from ethogram.contracts.baseline_values import Count, Frozen, Text, Time
from ethogram.contracts.finding_parts import (
    Ancestor,
    FindingDns,
    FindingFile,
    FindingInstance,
    FindingPeer,
    FindingProcess,
)

__all__ = ["ACTIVITIES", "EVENT_KINDS", "EVENT_SCHEMA", "Activity", "Event", "EventKind"]

EVENT_SCHEMA: Literal["ethogram.event/1"] = "ethogram.event/1"

EventKind = Literal["process", "network"]
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
Activity = Literal[
    "present", "exec", "exec_failed", "fork", "exit",
    "connect", "accept", "listen", "bind", "traffic", "dns",
]  # fmt: skip
ACTIVITIES: tuple[Activity, ...] = get_args(Activity)


class Event(Frozen):
    """What one process did, or what one executable said to one peer in a window.

    *id* is another for each event; one that comes twice was sent twice. *present*: it ran when the
    watch began. *exec_failed*: *errno* says why, *file* what was asked for, *process* is who tried.
    *fork*: it never executed, and lived until its window ended, or had children. *traffic*: bytes
    of connections that were told before. *count*, *tx_bytes* and *rx_bytes* are of the time from
    *first_seen* to *last_seen*; bytes are of connections that ended.
    """

    schema_name: Literal["ethogram.event/1"] = Field(EVENT_SCHEMA, alias="schema")
    id: Text
    time: Time
    kind: EventKind
    activity: Activity
    workload: Subject
    instance_key: Text
    container_id: Text | None = None
    instance: FindingInstance | None = None
    container_root: Ancestor | None = None
    phase: Text
    process: FindingProcess | None = None
    file: FindingFile | None = None
    peer: FindingPeer | None = None
    dns: FindingDns | None = None
    errno: Count | None = None
    count: Count | None = None
    tx_bytes: Count | None = None
    rx_bytes: Count | None = None
    first_seen: Time | None = None
    last_seen: Time | None = None
