"""What a replayer is: a pure function from policies and observations to what would be denied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from ethogram.contracts.keys import WorkloadKey
from exporters.replay.observations import Observations, Sight

__all__ = [
    "NOTHING_TO_RELAX",
    "Denied",
    "Effect",
    "Judged",
    "Outcome",
    "Picked",
    "Policy",
    "Relaxation",
    "Replayer",
    "Unjudged",
]

# `logged`: the policy lets it through and writes it down, as one that only observes does.
Effect: TypeAlias = Literal["denied", "logged"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One document of a policy file; *path* is the file as it was named.

    *workload_key* and *installs_as* are what the export's index says of it, where it has one.
    """

    path: str
    document: Mapping[str, Any]
    workload_key: str | None = None
    installs_as: str | None = None


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The least that would let it through: in *words*, and as a JSON patch of the document.

    An empty *patch* means that no addition to the document does.
    """

    words: str
    patch: tuple[Mapping[str, Any], ...] = ()


NOTHING_TO_RELAX = Relaxation("no addition to the policy allows it")


@dataclass(frozen=True, slots=True)
class Denied:
    """Something that was done and that *policy* would have refused, *count* times in all.

    *rule* names what was refused and holds across recordings (`mount`, `out TCP 5432 to ...`),
    *answer* is what the engine does about it. *workload* is its number in the recording; of what
    is in none it is a key, and there is no *sight*.
    """

    policy: str
    rule: str
    answer: str
    workload: int | WorkloadKey
    count: int
    sight: Sight | None = None
    relaxation: Relaxation = NOTHING_TO_RELAX
    effect: Effect = "denied"


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Something about which the recording, or the policy, says too little; *count* is how often.

    *policy* None: of all policies of the kind. *workload* None: of the whole recording.
    """

    reason: str
    count: int
    policy: str | None = None
    workload: int | WorkloadKey | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """How much of a workload was judged in all, what was denied included: *count* of *what*.

    *what* is a noun in the plural: `calls`, `connections`, `pods`.
    """

    what: str
    count: int
    workload: int | WorkloadKey
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """That *policy* had a part in what was judged, where no `Judged` or `Unjudged` names it."""

    policy: str


Outcome: TypeAlias = Denied | Unjudged | Judged | Picked


@runtime_checkable
class Replayer(Protocol):
    """Judges what was recorded by the policies of one target.

    `replay` reads nothing but its arguments. Whatever of the behaviour the target speaks about is
    in a `Judged`, or in an `Unjudged` with the reason: nothing passes in silence. A policy that
    none of them names, and no `Picked`, is told to be for nothing that was recorded.
    """

    @property
    def target(self) -> str:
        """The target's name, as in `export --to NAME`."""
        ...

    def reads(self, path: str, document: Mapping[str, Any]) -> bool:
        """Say whether *document*, of the file called *path*, is a policy of this kind."""
        ...

    def replay(self, policies: Sequence[Policy], seen: Observations) -> Iterator[Outcome]:
        """Yield what *policies*, all of them together, do to one recording.

        Raises `ExportError` for a policy that its engine would refuse, naming its path.
        """
        ...
