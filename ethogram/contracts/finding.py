"""A finding of `ethogram watch`: one JSON line, schema `ethogram.finding/1`.

Text that a workload chose (paths, arguments, names) is escaped as `ethogram.contracts.escape` says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Literal, cast, get_args

from pydantic import Field, ValidationInfo, field_validator

from ethogram.contracts.baseline_models import Subject
from ethogram.contracts.baseline_values import (
    VALUE_MODELS,
    AnyValue,
    Count,
    Dimension,
    Frozen,
    Real,
    Text,
    Time,
)
from ethogram.contracts.finding_parts import (
    Ancestor,
    FindingDns,
    FindingFile,
    FindingInstance,
    FindingPeer,
    FindingProcess,
)

__all__ = [
    "FINDING_SCHEMA",
    "MOST_VALUES",
    "SEVERITIES",
    "Ancestor",
    "Attack",
    "Compliance",
    "Confidence",
    "Finding",
    "FindingEvidence",
    "FindingGroup",
    "FindingProcess",
    "Layer",
    "SensorState",
    "Severity",
    "WorkloadState",
    "fingerprint_of",
]

FINDING_SCHEMA: Literal["ethogram.finding/1"] = "ethogram.finding/1"

Layer = Literal["deviation", "anomaly", "indicator"]
Confidence = Literal["low", "medium", "high"]
Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
# A finding has so many values at most.
MOST_VALUES = 32
SensorState = Literal["ok", "degraded", "blind"]
WorkloadState = Literal["ok", "deviating", "learning", "degraded", "blind", "rollout", "unknown"]


class Attack(Frozen):
    """A technique of MITRE ATT&CK, and the version of the catalogue that has it."""

    technique: Annotated[str, Field(pattern=r"^T\d{4}(\.\d{3})?$")]
    version: Text


class Compliance(Frozen):
    """Requirements of a standard, by their ids in that version of it, that this is evidence for."""

    standard: Text
    version: Text
    requirements: tuple[Text, ...]


class FindingGroup(Frozen):
    """What a finding that is of several dimensions stands for in one of them; see `values`."""

    dimension: Dimension
    values: tuple[AnyValue, ...]
    more: Count | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _values_are_of_their_dimension(cls, values: object, info: ValidationInfo) -> object:
        return _of_dimension(values, info.data.get("dimension"))


class FindingEvidence(Frozen):
    """What was seen, and what the baseline has that is nearest to it.

    *values* are what was seen as a baseline would have it, so that `accept` can allow it; absent
    where the finding stands for what is only counted. *more* counts those beyond `MOST_VALUES`.
    *groups* are the same of a finding that is of several dimensions.
    """

    dimension: Text
    observed: str
    expected: tuple[str, ...] = ()
    p_value: Real | None = None
    values: tuple[AnyValue, ...] | None = None
    more: Count | None = None
    groups: tuple[FindingGroup, ...] | None = None

    @field_validator("values", mode="before")
    @classmethod
    def _values_are_of_their_dimension(cls, values: object, info: ValidationInfo) -> object:
        return _of_dimension(values, info.data.get("dimension"))


def _of_dimension(values: object, dimension: object) -> object:
    # `{name: x}` alone could be a DNS name or a capability: the dimension decides.
    model = VALUE_MODELS.get(cast(Dimension, dimension))
    if model is None or not isinstance(values, list | tuple):
        return values
    if len(values) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values")
    return tuple(model.model_validate(value) for value in values)


class Finding(Frozen):
    """Something that strays from the baseline, or is bad whatever was learnt.

    *state* is how well the sensor saw, *workload_state* also says how far the baseline applies.
    *count* is how often since *first_seen*; a line with a known *fingerprint* brings it up to date.
    *confidence* is an indicator's: how likely it is what its title says. *compliance* says for
    which requirements of standards it is evidence. *process* is absent where the kernel side only
    knows the container, as for system calls. *container_root* is the container's first
    process. *file*, *peer* and *dns* are the row that showed it, where it has one: of what is
    counted, as it was when it was told last. *incident* is shared by findings of one process
    tree, *related* are fingerprints of those that were found before in it. *recording_id* is of the
    recording that the watch kept beside it.
    """

    schema_name: Literal["ethogram.finding/1"] = Field(FINDING_SCHEMA, alias="schema")
    time: Time
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    layer: Layer
    rule: Text
    title: Text
    reason: Text
    severity: Severity
    attack: tuple[Attack, ...]
    confidence: Confidence | None = None
    compliance: tuple[Compliance, ...] | None = None
    workload: Subject
    instance_key: Text
    container_id: Text | None = None
    instance: FindingInstance | None = None
    container_root: Ancestor | None = None
    process: FindingProcess | None = None
    file: FindingFile | None = None
    peer: FindingPeer | None = None
    dns: FindingDns | None = None
    evidence: FindingEvidence
    state: SensorState
    workload_state: WorkloadState
    phase: Text
    baseline: Text | None = None
    recording_id: Text | None = None
    first_seen: Time
    last_seen: Time
    count: Count
    incident: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    related: tuple[Text, ...] | None = None

    def line(self) -> str:
        """Return this as one line of JSON, without the line end."""
        return json.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False
        )


def fingerprint_of(parts: Iterable[str | None]) -> str:
    """Return what tells findings apart: the same for the same *parts* on every host, always."""
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:32]
