"""What a baseline holds: frozen, nothing unknown in it, every field checked on the way in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from ethogram.contracts.alert_models import ModelReference
from ethogram.contracts.argument_models import ArgumentValue, CallArguments
from ethogram.contracts.baseline_values import (
    DIMENSIONS,
    VALUE_MODELS,
    Allowance,
    AnyValue,
    CapabilityValue,
    ContainerKind,
    Count,
    Digest,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    Frozen,
    ListenValue,
    OperationValue,
    PeerValue,
    Phase,
    Port,
    Real,
    Reason,
    State,
    SyscallValue,
    Text,
    Time,
)
from ethogram.contracts.coverage_models import Blind, Coverage, Share

__all__ = [
    "BASELINE_SCHEMA",
    "CARRIED",
    "RULE_MODELS",
    "ArgumentValue",
    "Base",
    "Baseline",
    "CallArguments",
    "Choices",
    "Evidence",
    "Input",
    "Match",
    "ModelReference",
    "Observation",
    "Overlay",
    "OverlayInput",
    "Quarantined",
    "Rule",
    "Rules",
    "Subject",
    "WidenedFrom",
    "Withheld",
    "WithheldBy",
]

BASELINE_SCHEMA: Literal["ethogram.baseline/1"] = "ethogram.baseline/1"


class Evidence(Frozen):
    """Why a rule exists, in totals over all recordings; the summaries keep the rest.

    *windows* counts pairs of window and phase, *phases* stand in the order of a life. *executables*
    did it, at most the first 20 by name. *example_exec_id* is one process that did, where the
    tables name any. What nobody saw, and an overlay allows, has no times.
    """

    calls: Count
    windows: Count
    instances: Count
    recordings: Count
    phases: tuple[Phase, ...]
    first_seen: Time | None = None
    last_seen: Time | None = None
    executables: tuple[str, ...] = ()
    example_exec_id: Text | None = None

    @property
    def is_the_runtimes(self) -> bool:
        """Return whether the container runtime alone did it, before the workload ran."""
        return self.phases == ("runtime",)


class WidenedFrom(Frozen):
    """What a rule that allows more than was seen stands for."""

    count: Count
    examples: tuple[str, ...]


class Overlay(Frozen):
    """A reviewed decision of a person about a rule, to the end of day *expires* in UTC."""

    author: Text
    reason: Text
    expires: Text | None = None

    @field_validator("expires")
    @classmethod
    def _expires_on_a_day(cls, value: str | None) -> str | None:
        # What nobody can read would never expire.
        if value is not None and date.fromisoformat(value).isoformat() != value:
            raise ValueError("a day is written like `2027-01-31`")
        return value


# A mark of rules that an earlier version's baseline had and the new recordings did not show.
CARRIED = "carried"
ValueT = TypeVar("ValueT", bound=BaseModel)


class Rule(Frozen, Generic[ValueT]):
    """One allowed value, with the evidence for it.

    *marked* says why it wants a second look: ids of indicators that other workloads set off as
    well, `session` (seen only in what entered from outside), `one-instance` (one instance alone of
    several that were watched alike), `once` (one window alone), `truncated` (the path was cut),
    `carried` (from the baseline of an earlier version; this one did not show it).
    *indicators* fired while it was seen, and an *overlay* allows it all the same.
    """

    id: Annotated[str, Field(pattern=r"^[a-z]+-[0-9a-f]{12}$")]
    value: ValueT
    evidence: Evidence
    widened_from: WidenedFrom | None = None
    marked: tuple[Text, ...] | None = None
    indicators: tuple[Text, ...] | None = None
    overlay: Overlay | None = None


# Which model a rule of a dimension has: to choose it takes as long as to make a rule.
RULE_MODELS: dict[Dimension, type[Rule[Any]]] = {
    dimension: Rule[model]  # type: ignore[valid-type]  # which it is, the dimension decides
    for dimension, model in VALUE_MODELS.items()
}


class Rules(Frozen):
    """What is allowed, by dimension; what is not here is a deviation."""

    syscalls: tuple[Rule[SyscallValue], ...] = ()
    execs: tuple[Rule[ExecValue], ...] = ()
    files: tuple[Rule[FileValue], ...] = ()
    peers: tuple[Rule[PeerValue], ...] = ()
    listens: tuple[Rule[ListenValue], ...] = ()
    dns: tuple[Rule[DnsValue], ...] = ()
    capabilities: tuple[Rule[CapabilityValue], ...] = ()
    operations: tuple[Rule[OperationValue], ...] = ()

    def all(self) -> Iterator[tuple[Dimension, Rule[AnyValue]]]:
        """Yield every rule with its dimension, in the order of the file."""
        for dimension in DIMENSIONS:
            for rule in getattr(self, dimension):
                yield dimension, rule

    def of_workload(self) -> Rules:
        """Return what the workload itself did, or an overlay allows it.

        What its container runtime alone did, before it ran, is allowed to nobody who is judged.
        """
        own: dict[str, Any] = {
            dimension: tuple(
                rule for rule in getattr(self, dimension) if not rule.evidence.is_the_runtimes
            )
            for dimension in DIMENSIONS
        }
        return Rules.model_construct(**own)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        counts = Counter(rule.id for _, rule in self.all())
        if double := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"two rules have the id `{double[0]}`")
        return self


class _Apart(Frozen):
    """A value that no rule allows, and which dimension it is of."""

    id: Annotated[str, Field(pattern=r"^[a-z]+-[0-9a-f]{12}$")]
    dimension: Dimension
    value: AnyValue

    @field_validator("value", mode="before")
    @classmethod
    def _value_is_of_its_dimension(cls, value: object, info: ValidationInfo) -> object:
        # `{name: x}` alone could be a DNS name or a capability: the dimension decides.
        dimension = info.data.get("dimension")
        return value if dimension is None else VALUE_MODELS[dimension].model_validate(value)


class Quarantined(_Apart):
    """Not allowed until a reviewed overlay says so.

    *indicators* fired while it was seen; where none did, *reasons* say why it is here:
    `one-instance`, `flood`, `foreign-answer`. *count* is how many values this one stands for.
    """

    indicators: tuple[Text, ...]
    evidence: Evidence
    reasons: tuple[Text, ...] | None = None
    count: Count | None = None


WithheldBy = Literal["without", "only-phase", "min-replicas", "overlay", "expired"]


class Withheld(_Apart):
    """Seen, or allowed once, and not allowed: *by* an option of `learn`, or by an overlay.

    `overlay`: it denies the value. `expired`: it allowed the value, and is over. *marked* and
    *indicators* are the rule's.
    """

    by: WithheldBy
    evidence: Evidence
    widened_from: WidenedFrom | None = None
    marked: tuple[Text, ...] | None = None
    indicators: tuple[Text, ...] | None = None
    overlay: Overlay | None = None


class OverlayInput(Frozen):
    """A file of overlays that was applied, and the digest of its text."""

    name: Text
    sha256: Digest


class Choices(Frozen):
    """What was left out when the baseline was made; absent where nothing was chosen.

    *without* are the names of rules as they were given, *only_phases* those of which a rule was
    seen in at least one, *min_replicas* how many instances showed it at least.
    """

    without: tuple[Text, ...] | None = None
    only_phases: tuple[Phase, ...] | None = None
    min_replicas: Count | None = None
    overlays: tuple[OverlayInput, ...] | None = None


class Subject(Frozen):
    """What the baseline was learnt from; *selector* is its owner's, from the inventory."""

    cluster: Text | None = None
    namespace: Text | None = None
    kind: Text
    name: Text
    container: Text | None = None
    container_kind: ContainerKind | None = None
    image: Text | None = None
    image_digest: Text | None = None
    selector: dict[str, str] = Field(default_factory=dict)


class Match(Frozen):
    """What the baseline applies to: *namespace* is a pattern, what is absent matches anything."""

    kind: Text
    name: Text
    container: Text | None = None
    namespace: Text | None = None
    image_digest: tuple[Text, ...] | None = None


class Input(Frozen):
    """A recording that the baseline was learnt from; *sha256* is its manifest's."""

    recording_id: Text
    sha256: Digest


class Observation(Frozen):
    """How much was watched, and how well.

    *windows* counts windows of instances, *phases* the same by phase, *losses* events by kind.
    *image_digests* are all that were seen, sorted; the subject names the newest. Null is not known:
    *no_new_privs*, every instance had it; *privileges_gained*, an exec raised a process above its
    caller; *bounding*, the capabilities that any instance could have used; *runs_as*, the user ids
    of its processes; *writes_root*, it changed something in its root file system, outside of what
    was mounted into it; *runtimes*, those that started its instances, such as `runc 1.1.5`, sorted.
    *host_namespaces* are those that any instance shared with the host; *host_paths* and
    *host_ports*, what else of the host its pods were given. *file_changes*: every recording told
    what was done to files without opening them; without it the rules say nothing of that.
    *not_observed*: dimensions that no recording looked at, so that no rule means nothing; absent
    where there is none.

    What stood in the way: *reasons*, all of them, of which *state* is the gravest; *allowed*, for
    which of them `learn` would have refused and was told not to; *refused*, calls that a seccomp
    filter refused; *truncated*, how many paths were cut. How long: *runs* seen from their start to
    an end of their own, *steady_seconds* of all instances, *wall_seconds* from the first to the
    last window of any, without the gaps between recordings.
    """

    windows: Count
    instances: Count
    seconds: Real
    phases: dict[Phase, Count] = Field(default_factory=dict)
    losses: dict[str, Count] = Field(default_factory=dict)
    state: State
    image_digests: tuple[Text, ...] = ()
    host_namespaces: tuple[Text, ...] = ()
    no_new_privs: bool | None = None
    privileges_gained: bool | None = None
    bounding: tuple[Text, ...] | None = None
    runs_as: tuple[Count, ...] | None = None
    writes_root: bool | None = None
    runtimes: tuple[Text, ...] | None = None
    host_paths: tuple[Text, ...] | None = None
    host_ports: tuple[Port, ...] | None = None
    file_changes: Literal[True] | None = None
    not_observed: tuple[Dimension, ...] | None = None
    reasons: tuple[Reason, ...] | None = None
    allowed: tuple[Allowance, ...] | None = None
    refused: tuple[Text, ...] | None = None
    truncated: Count | None = None
    runs: Count | None = None
    steady_seconds: Real | None = None
    wall_seconds: Real | None = None


class Base(Frozen):
    """The baseline that this one started from: the digest of its file, and of its images.

    *carried* rules of it were not shown again.
    """

    sha256: Digest
    image_digests: tuple[Text, ...] = ()
    carried: Count


class Baseline(Frozen):
    """One workload's learnt behaviour: schema `ethogram.baseline/1`.

    Of the windows to come at least the share *settled* shows nothing new in any dimension. It and
    *blind* are absent where an earlier version learnt it, or too little was seen. *arguments* of
    calls are absent where not every recording looked at them; a call that is not among them then
    was not made.
    """

    schema_name: Literal["ethogram.baseline/1"] = Field(BASELINE_SCHEMA, alias="schema")
    subject: Subject
    match: Match
    inputs: tuple[Input, ...]
    base: Base | None = None
    observation: Observation
    rules: Rules
    arguments: tuple[CallArguments, ...] | None = None
    coverage: dict[Dimension, Coverage] = Field(default_factory=dict)
    settled: Share | None = None
    blind: Blind | None = None
    quarantined: tuple[Quarantined, ...] = ()
    choices: Choices | None = None
    withheld: tuple[Withheld, ...] | None = None
    model: ModelReference | None = None

    @field_validator("arguments")
    @classmethod
    def _calls_stand_once(
        cls, calls: tuple[CallArguments, ...] | None
    ) -> tuple[CallArguments, ...] | None:
        known = [(call.arch, call.name, call.index) for call in calls or ()]
        if known != sorted(set(known)):
            raise ValueError("calls stand in the order of their names, each once")
        return calls
