"""What an exporter is: a pure function from a baseline to policy files and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

from ethogram.contracts.artifacts import Artifact, Reason, Why
from ethogram.contracts.baseline import Baseline, Dimension
from ethogram.contracts.provenance import Provenance

__all__ = [
    "Artifact",
    "Checking",
    "Comparing",
    "Exporter",
    "Finding",
    "Observing",
    "Options",
    "Provenance",
    "Reason",
    "Severity",
    "Why",
    "shown",
]

Severity = Literal["info", "warning", "loss"]
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the reader of an exported policy has to know.

    `loss` is a rule of the baseline that the target cannot express: it would be denied, or more
    than it would be allowed. *subject* says what it is about: a workload's key, a rule's id.
    *of_whole*: it describes the policy as a whole, and is not said of one that was refined, which
    allows more.
    """

    severity: Severity
    message: str
    hint: str | None = None
    subject: str | None = None
    of_whole: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How to export. *settings* are the exporter's own, by the names that it declares.

    *provenance* is what the policy is made from, for annotations or comments where its format has
    them: `exporters.provenance.facts_about` has it in words. It must not show in what is enforced.
    """

    enforce: bool = False
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    provenance: Provenance | None = None


@runtime_checkable
class Exporter(Protocol):
    """Makes the policy of one target.

    `export` reads nothing but its arguments: no clock, network, file or environment. Equal
    arguments give equal bytes, in whatever order the baseline's rules stand. Every rule of the
    dimensions that the target speaks about is allowed by an artifact or named in a finding. Every
    artifact has a reason for each thing that it says: what `explain` goes by.
    """

    @property
    def name(self) -> str:
        """The target's name, as in `--to NAME`."""
        ...

    @property
    def summary(self) -> str:
        """One line for `--help`."""
        ...

    @property
    def dimensions(self) -> frozenset[Dimension]:
        """The dimensions of a baseline that the target speaks about; it is silent on others."""
        ...

    @property
    def settings(self) -> Mapping[str, str]:
        """Setting -> what it means and what it may be, for `--set NAME=VALUE`."""
        ...

    def export(self, baseline: Baseline, options: Options) -> Iterator[Artifact | Finding]:
        """Yield the policy files of *baseline* and what they cannot say.

        Raises `ExportError` when there is no policy that could be meant, and `UsageError` for a
        setting's value that means nothing.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """An exporter that can tell what of its options means nothing before it sees a baseline."""

    def check(self, options: Options) -> None:
        """Raise what `export` would raise for *options* alone."""
        ...


@runtime_checkable
class Observing(Protocol):
    """An exporter whose policies do something else than to deny until they are enforced."""

    def unenforced(self, options: Options) -> str:
        """Return what they do by *options*, and when to enforce them: a part of a sentence."""
        ...


@runtime_checkable
class Comparing(Protocol):
    """An exporter that has something to say of a baseline beside others; not all have."""

    def compare(self, baseline: Baseline, others: Sequence[Baseline]) -> Iterator[Finding]:
        """Yield what the policy of *baseline* does to the workloads of *others*.

        *others* are all that are exported by one command; *baseline* may be among them.
        """
        ...


def shown(names: Sequence[str]) -> str:
    """Return *names* as part of a message; of many the first, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_SHOWN])} and {more} more"
