"""What a target can do with a policy that is there already; each target has some of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

__all__ = ["Documents", "Relaxed", "Relaxing", "Reviewer", "Route"]

Documents: TypeAlias = "list[dict[str, Any]]"
# How a file comes into force: an API server takes it, a node has it, a service manager reads it.
Route: TypeAlias = Literal["kubectl", "node", "systemd"]


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A policy that refuses nothing any more.

    *documents* in the place of those that were given; *effect* is what it does now, in a few words
    that end a sentence, and *notes* are what whoever applies it has to know.
    """

    documents: Documents
    effect: str
    route: Route
    notes: tuple[str, ...] = ()


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
