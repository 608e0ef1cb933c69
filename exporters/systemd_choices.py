"""How a drop-in is wanted: the exporter's settings, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from ethogram.errors import UsageError
from exporters.protocol import Options
from exporters.systemd_groups import Groups

__all__ = ["SETTINGS", "Choices", "read_choices"]

Filter = Literal["deny", "allow"]
_T = TypeVar("_T")
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "filter": "`deny` (default) refuses systemd's groups of calls of which none was made;"
        " `allow` refuses every call that was not made",
        "systemd": "package version of systemd whose groups of calls to go by",
    }
)
_FILTERS: Mapping[str, Filter] = MappingProxyType({"deny": "deny", "allow": "allow"})


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of one export, read and checked."""

    enforce: bool
    filter: Filter
    groups: Groups


def read_choices(options: Options, known: Mapping[str, Groups]) -> Choices:
    """Return what *options* ask for; `UsageError` for a value that means nothing."""
    versions = {**known}
    newest = list(known)[-1]
    return Choices(
        enforce=options.enforce,
        filter=_one_of(options.settings, "filter", _FILTERS, "deny"),
        groups=_one_of(options.settings, "systemd", versions, newest),
    )


def _one_of(settings: Mapping[str, str], name: str, values: Mapping[str, _T], default: str) -> _T:
    word = settings.get(name, default)
    if word not in values:
        known = ", ".join(f"`{value}`" for value in values)
        raise UsageError(f"setting `{name}` is `{word}`", hint=f"it is one of {known}")
    return values[word]
