"""Which system calls systemd's groups hold: measured, and shipped as data of a stated version."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Groups", "load_groups"]


class Groups(BaseModel):
    """The groups of one build of systemd; a group within a group is expanded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_name: Literal["ethogram.systemd-groups/1"] = Field(alias="schema")
    package: str
    how: str
    groups: Mapping[str, frozenset[str]]


@cache
def load_groups() -> Mapping[str, Groups]:
    """Return the shipped groups by the version of systemd's package."""
    folder = files("exporters") / "data" / "systemd"
    known = [
        Groups.model_validate_json(file.read_bytes())
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    return MappingProxyType({one.package: one for one in sorted(known, key=lambda g: g.package)})
