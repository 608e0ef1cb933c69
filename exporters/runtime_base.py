"""What container runtimes call under the container's filter, and what libseccomp can name.

Both are measured and shipped as data; `load_runtime_bases` and `load_known_names` read them once,
when an exporter is made, so that exporting itself reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ethogram.errors import UsageError

__all__ = ["BaseSet", "RuntimeBase", "load_known_names", "load_runtime_bases", "select_bases"]

# `runtime=none`: the profile is for something that installs the filter as its last act.
NO_RUNTIME = "none"


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


def select_bases(bases: Sequence[RuntimeBase], wanted: str | None) -> tuple[RuntimeBase, ...]:
    """Return the bases that *wanted* asks for: `runc=1.1.5`, `runc`, `none`; None: all measured.

    Raises `UsageError` with the known ones for a runtime or version without data.
    """
    if wanted == NO_RUNTIME:
        return ()
    runtime, _, version = (wanted or "").partition("=")
    chosen = tuple(
        base
        for base in bases
        if (not runtime or base.runtime == runtime)
        and (base.version == version if version else base.measured)
    )
    if not chosen or wanted == "":
        known = ", ".join(f"`{base.runtime}={base.version}`" for base in bases)
        raise UsageError(
            f"nothing is known about the runtime `{wanted}`",
            hint=f"known: {known}, `{NO_RUNTIME}`; measure another with"
            " `tools/measure_runtime_base.py` of the sources",
        )
    return chosen
