"""What a target can do with a policy that is there already; each target has some of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from ethogram.contracts.baseline import AnyValue, Baseline
from exporters.protocol import Artifact, Finding, Reason

__all__ = [
    "Documents",
    "Grant",
    "Refined",
    "Refining",
    "Relaxed",
    "Relaxing",
    "Reviewer",
    "Route",
    "Tellable",
    "Told",
]

Documents: TypeAlias = "list[dict[str, Any]]"
# How a file comes into force: an API server takes it as an object or as a patch, a node has it, a
# service manager reads it.
Route: TypeAlias = Literal["kubectl", "patch", "node", "systemd"]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A policy that refuses nothing any more.

    *documents* in the place of those that were given; *effect* is what it does now, in a few words
    that end a sentence, and *notes* are what whoever applies it has to know. *needs_restart*: what
    runs keeps what it was started with.
    """

    documents: Documents
    effect: str
    route: Route
    notes: tuple[str, ...] = ()
    needs_restart: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing that a policy allows, or one rule by which it refuses (*is_demand*).

    *kind* and *words* say what, in plain words; *value* is what a baseline would call it, for its
    grade. Grants of one *subject* can cover each other, as a call does for every argument what it
    does for some: a lower *breadth* is covered by a higher one.
    """

    kind: str
    words: str
    value: AnyValue | None = None
    is_demand: bool = False
    subject: str | None = None
    breadth: int = 0

    def covers(self, other: Grant) -> bool:
        """Return whether what allows this allows *other*."""
        return self == other or (
            self.subject is not None
            and (self.kind, self.subject) == (other.kind, other.subject)
            and self.breadth > other.breadth
        )


@dataclass(frozen=True, slots=True)
class Told:
    """What a policy says: its *mode* in a word (`denies`, `logs`), its grants, and how much it is.

    *tightness* is in numbers, for a table: `84 of 373 calls`.
    """

    mode: str
    grants: tuple[Grant, ...]
    tightness: str


@runtime_checkable
class Tellable(Protocol):
    """A target whose policies can be told in plain words."""

    def tell(self, documents: Sequence[Mapping[str, Any]]) -> Told:
        """Return what the policy says. Raises `ExportError` where it is malformed."""
        ...


@runtime_checkable
class Reviewer(Protocol):
    """Knows the policies of one target."""

    @property
    def target(self) -> str:
        """The target's name, as in `export --to NAME`."""
        ...

    def reads(self, documents: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether *documents*, those of one file, are a policy of this target."""
        ...


@runtime_checkable
class Relaxing(Protocol):
    """A target whose policies can be made to log, audit or stand aside, as they are."""

    def relax(self, documents: Sequence[Mapping[str, Any]], *, reason: str) -> Relaxed:
        """Return the policy so that it refuses nothing; *documents* stay as they are.

        *reason* goes where the format has a place for it. Raises `ExportError` where the policy
        is malformed, or of a form that cannot be relaxed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Refined:
    """A policy that was there before, with what evidence demands of it.

    *reasons* are those of the whole, as an artifact has them. They are the same when it is refined
    again; *findings* say what was changed this time, and what could be taken out.
    """

    documents: Documents
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...] = ()


@runtime_checkable
class Refining(Protocol):
    """A target that can add what evidence demands to a policy that is there already.

    All that was recorded is allowed by what comes of it, and all that *existing* allowed still is.
    Refined again, with the same evidence, it stays as it is.
    """

    def refine(
        self, existing: Sequence[Mapping[str, Any]], made: Artifact, baseline: Baseline
    ) -> Refined:
        """Return *existing* with what it lacks of *made*, the policy that *baseline* alone gives.

        Raises `ExportError` where *existing* is malformed, or says what cannot be kept.
        """
        ...
