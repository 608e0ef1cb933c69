"""What container runtimes call under the container's filter, and what libseccomp can name.

Both are measured and shipped as data; `load_runtime_bases` and `load_known_names` read them once,
when an exporter is made, so that exporting itself reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import zip_longest
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ethogram.contracts.escape import printable
from ethogram.errors import UsageError

__all__ = [
    "AUTO",
    "BaseSet",
    "DefaultProfile",
    "RuntimeBase",
    "StandIn",
    "load_default_profile",
    "load_known_names",
    "load_runtime_bases",
    "release_of",
    "select_bases",
]

# `runtime=none`: the profile is for something that installs the filter as its last act.
NO_RUNTIME = "none"
# `runtime=auto`: those that the baseline was observed under.
AUTO = "auto"
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}")


class BaseSet(BaseModel):
    """The calls of one way to start, each with where it was seen: `run`, `exec`.

    *no_new_privs* decides when the runtime installs the filter; None stands for either.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    no_new_privs: bool | None
    calls: Mapping[str, tuple[Literal["run", "exec"], ...]]


class RuntimeBase(BaseModel):
    """One version of a runtime on one architecture.

    *measured* is false where another project's list is taken over. *occasional* calls are the
    language runtime's: whether a start shows them is a matter of timing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["ethogram.runtime-base/1"] = Field(alias="schema")
    runtime: str
    version: str
    arch: str
    libseccomp: str | None
    measured: bool
    how: str
    sets: tuple[BaseSet, ...]
    occasional: tuple[str, ...]

    @property
    def label(self) -> str:
        """`runc 1.1.5`."""
        return f"{self.runtime} {self.version}"

    def calls(self, no_new_privs: bool | None) -> dict[str, str]:
        """Return the calls for *no_new_privs* (None: either), each with where it was seen."""
        places: dict[str, set[str]] = {name: {"timing"} for name in self.occasional}
        for entry in self.sets:
            if None in (no_new_privs, entry.no_new_privs) or entry.no_new_privs == no_new_privs:
                for name, seen in entry.calls.items():
                    places.setdefault(name, set()).update(seen)
        return {
            name: ", ".join(sorted(where - {"timing"}) or sorted(where))
            for name, where in sorted(places.items())
        }


class KnownNames(BaseModel):
    """The names that one build of libseccomp resolves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["ethogram.libseccomp-names/1"] = Field(alias="schema")
    version: str
    package: str
    how: str
    names: frozenset[str]


class DefaultProfile(BaseModel):
    """What a container engine allows where no profile is named, by architecture.

    *calls* are allowed whatever their arguments are, *by_argument* with some arguments alone; both
    for the capabilities that a container has without further words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["ethogram.default-profile/1"] = Field(alias="schema")
    name: str
    package: str
    version: str
    how: str
    calls: Mapping[str, frozenset[str]]
    by_argument: Mapping[str, frozenset[str]]


@cache
def load_default_profile() -> DefaultProfile:
    """Return the profile to compare with: the one that podman and CRI-O have by default."""
    folder = files("exporters") / "data" / "default_profile"
    (file,) = (file for file in folder.iterdir() if file.name.endswith(".json"))
    return DefaultProfile.model_validate_json(file.read_bytes())


@cache
def load_runtime_bases() -> tuple[RuntimeBase, ...]:
    """Return the shipped base sets, by runtime, measured ones first."""
    folder = files("exporters") / "data" / "runtime_base"
    bases = [
        RuntimeBase.model_validate_json(file.read_bytes())
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    return tuple(sorted(bases, key=lambda b: (b.runtime, not b.measured, b.version, b.arch)))


@cache
def load_known_names() -> Mapping[str, frozenset[str]]:
    """Return, by package version of libseccomp, the names that it knows."""
    folder = files("exporters") / "data" / "libseccomp"
    known = [
        KnownNames.model_validate_json(file.read_bytes())
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    names = {entry.package: entry.names for entry in sorted(known, key=lambda k: k.package)}
    return MappingProxyType(names)


@dataclass(frozen=True, slots=True)
class StandIn:
    """The *base* that is taken for a version of a runtime that nobody measured."""

    wanted: str
    base: RuntimeBase


def select_bases(
    bases: Sequence[RuntimeBase], wanted: Sequence[str] | None
) -> tuple[tuple[RuntimeBase, ...], tuple[StandIn, ...]]:
    """Return the bases that *wanted* asks for, and which of them stand in for other versions.

    `runc@1.1.5` is one version, `runc` every measured one, `none` alone is none; None is all
    measured. `=` is read as `@`. Of a version without data the nearest measured one of the same
    major version is taken. Raises `UsageError` with the known ones where there is no data.
    """
    if wanted is not None and list(wanted) == [NO_RUNTIME]:
        return (), ()
    if wanted is None:
        if every := tuple(base for base in bases if base.measured):
            return every, ()
        raise _unknown(bases, "")
    chosen: list[RuntimeBase] = []
    stand_ins: list[StandIn] = []
    for word in wanted:
        runtime, _, told = word.replace("=", "@", 1).partition("@")
        version = release_of(told)
        of_runtime = [base for base in bases if base.runtime == runtime]
        exact = [base for base in of_runtime if (base.version == version or not version)]
        found = [base for base in exact if version or base.measured]
        measured = [base for base in of_runtime if _stands_in(base, version)]
        if not found and measured:
            nearest = min(measured, key=lambda base: _distance(base.version, version))
            stand_ins.append(StandIn(f"{runtime} {version}", nearest))
            found = [nearest]
        if not found:
            raise _unknown(bases, word)
        chosen += [base for base in found if base not in chosen]
    return tuple(chosen), tuple(stand_ins)


def release_of(version: str) -> str:
    """Return the release of a version as a runtime tells it: without what a distribution adds."""
    return version.partition("+")[0]


def _unknown(bases: Sequence[RuntimeBase], word: str) -> UsageError:
    known = ", ".join(f"`{base.runtime}@{base.version}`" for base in bases)
    return UsageError(
        f"nothing is known about the runtime `{printable(word)}`",
        hint=f"known: {known}, `{NO_RUNTIME}`; measure another with"
        " `tools/measure_runtime_base.py` of the sources",
    )


def _stands_in(base: RuntimeBase, version: str) -> bool:
    is_version = _VERSION.fullmatch(version) is not None
    major, _, _ = version.partition(".")
    return is_version and base.measured and base.version.startswith(f"{major}.")


def _distance(version: str, wanted: str) -> tuple[int, ...]:
    """Return how far apart two versions are: first by major, then by minor, then by the rest."""
    ours, theirs = (tuple(int(part) for part in text.split(".")) for text in (version, wanted))
    return tuple(abs(one - other) for one, other in zip_longest(ours, theirs, fillvalue=0))
