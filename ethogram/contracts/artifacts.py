"""What exporters hand over: policy files, and the reason for each place in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from ethogram.contracts.file_names import safe_part

__all__ = ["THERE_BEFORE", "WHYS", "Artifact", "Measure", "Reason", "Why", "artifact_path"]

Why = Literal["observed", "runtime", "always", "tolerance", "default", "unused", "kept"]
WHYS: tuple[Why, ...] = get_args(Why)
Measure: TypeAlias = int | str
# The source of a reason in a policy that was refined, for what evidence did not ask for.
THERE_BEFORE = "the policy that was there before"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a policy says what it says at *place*: `spec.egress[0].to[1]`, or the name of a call.

    Of another document of the same file than the first, *place* begins with its kind and a colon,
    where that is the first's as well with its number too: `NetworkPolicy[2]:spec.egress[0].to[1]`.
    *rules* are ids of rules of the baseline, sorted; *source* says where the rest is known from.

    `observed`: rules of the baseline ask for it. `runtime`: the container runtime does. `always`:
    whatever the workload does, it is needed. `tolerance`: not seen, and does what something seen
    does. `default`: a setting, or the target itself, asks for it. `unused`: it is forbidden, as
    nothing used it; in a policy that was there before and that was refined, it is allowed and need
    not be. `kept`: it was there before, and evidence says nothing of it.
    """

    place: str
    why: Why
    rules: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """One policy file: *path* is relative to the export's directory, with `/` between parts.

    *installs_as* is where it has to be put to be found by a policy that names it; a profile's is
    relative to the kubelet's seccomp directory, and holds a digest of *content*. *reasons* say why
    it says what it says, and *left_out* why it does not say something that was seen. *tightness* is
    how much it allows, in figures that have names.
    """

    path: str
    target: str
    workload_key: str
    content: bytes
    installs_as: str | None = None
    reasons: tuple[Reason, ...] = ()
    left_out: tuple[Reason, ...] = ()
    tightness: Mapping[str, Measure] = field(default_factory=dict, hash=False)


def artifact_path(
    *, namespace: str | None, kind: str, name: str, unit: str | None, target: str, suffix: str
) -> str:
    """Return `<namespace|_>/<kind>-<name>/<container|pod>.<target>.<json|yaml>`.

    *unit* is the container; None is the pod as a whole. Every part is made safe as a file name.
    """
    container = "pod" if unit is None else safe_part(unit)
    folder = f"{safe_part(kind)}-{safe_part(name)}"
    return f"{safe_part(namespace)}/{folder}/{container}.{target}.{suffix}"
