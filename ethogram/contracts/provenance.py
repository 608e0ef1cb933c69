"""What a policy was made from, and why it says what it says: schema `ethogram.provenance/1`.

`export` writes it beside each policy, for people and for `explain`; nothing enforces by it.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ethogram.contracts.artifacts import Measure, Reason
from ethogram.contracts.baseline_models import Choices, Evidence, Overlay, OverlayInput, WidenedFrom
from ethogram.contracts.baseline_values import (
    VALUE_MODELS,
    Allowance,
    AnyValue,
    Count,
    Digest,
    Dimension,
    Real,
    State,
    Text,
)
from ethogram.contracts.baseline_values import Reason as Shortcoming
from ethogram.contracts.coverage_models import Share

__all__ = [
    "PROVENANCE_SCHEMA",
    "PROVENANCE_SUFFIX",
    "Provenance",
    "ProvenanceFile",
    "Recordings",
    "RuleTold",
    "Unseen",
    "Watched",
    "provenance_path",
]

PROVENANCE_SCHEMA: Literal["ethogram.provenance/1"] = "ethogram.provenance/1"
PROVENANCE_SUFFIX = ".provenance.json"


class _Told(BaseModel):
    """Frozen; a later version may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Recordings(_Told):
    """How many recordings the baseline was learnt from, and the *ids* of the first by name."""

    count: Count
    ids: tuple[Text, ...] = ()


class Watched(_Told):
    """How much was watched, and how well; *reasons* and *allowed* as a baseline has them."""

    state: State
    windows: Count
    instances: Count
    seconds: Real
    losses: dict[str, Count] = Field(default_factory=dict)
    reasons: tuple[Shortcoming, ...] | None = None
    allowed: tuple[Allowance, ...] | None = None


class Unseen(_Told):
    """How settled one dimension is: new values expected in the next window of one instance."""

    unseen: Real
    low: Real
    high: Real
    settled: Share | None = None


class Provenance(_Told):
    """What a policy was made from; *baseline_sha256* is the digest of the baseline's file.

    *allowed* is for which shortcomings of the baseline `export` would have refused and was told
    not to. *choices* decided what the baseline allows, and *overlaid* of its rules rest on an
    overlay. *map* is the file that carried the baseline to another environment.
    """

    workload_key: str
    baseline_sha256: Digest | None = None
    recordings: Recordings
    observation: Watched
    settled: Share | None = None
    coverage: dict[Dimension, Unseen] = Field(default_factory=dict)
    allowed: tuple[Allowance, ...] = ()
    choices: Choices | None = None
    overlaid: Count = 0
    map: OverlayInput | None = None


class RuleTold(_Told):
    """A rule of the baseline that a reason names, as it was when the policy was made."""

    id: Annotated[str, Field(pattern=r"^[a-z]+-[0-9a-f]{12}$")]
    dimension: Dimension
    value: AnyValue
    evidence: Evidence
    widened_from: WidenedFrom | None = None
    marked: tuple[Text, ...] | None = None
    indicators: tuple[Text, ...] | None = None
    overlay: Overlay | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _value_is_of_its_dimension(cls, value: object, info: ValidationInfo) -> object:
        # `{name: x}` alone could be a DNS name or a capability: the dimension decides.
        dimension = info.data.get("dimension")
        return value if dimension is None else VALUE_MODELS[dimension].model_validate(value)


class ProvenanceFile(_Told):
    """The file beside a policy: what it was made from, the reasons, and the rules that they name.

    *path* is the policy's, relative to the directory of the export. *tightness* is how much the
    policy allows; absent where its target has no measure.
    """

    schema_name: Literal["ethogram.provenance/1"] = Field(PROVENANCE_SCHEMA, alias="schema")
    path: str
    target: str
    made_from: Provenance
    reasons: tuple[Reason, ...]
    left_out: tuple[Reason, ...] = ()
    rules: tuple[RuleTold, ...] = ()
    tightness: dict[str, Measure] | None = None

    def dump(self) -> bytes:
        """Return the file's content; equal files give equal bytes."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return (json.dumps(document, indent=2, ensure_ascii=True) + "\n").encode()


def provenance_path(path: str) -> str:
    """Return where the provenance of the policy *path* stands: `nginx.seccomp.provenance.json`."""
    return str(PurePosixPath(path).with_suffix("")) + PROVENANCE_SUFFIX
