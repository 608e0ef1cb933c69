"""Members of a registry by name: modules of our own, and entry points of installed packages.

A module has a function that is called as what it makes is called, `exporter` or `sink`; an entry
point is such a function.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from ethogram.errors import EthogramError

__all__ = ["Registry", "did_you_mean"]

MemberT = TypeVar("MemberT")


@dataclass(frozen=True, slots=True)
class Registry(Generic[MemberT]):
    """Who is there of a kind, called *what*; foreign ones are in the entry point group *group*.

    *built_in* are modules by name, *protocol* what a member has to be, *named* the attribute that
    holds its name. What is wrong is raised as *error*, but what a member itself says of it.
    """

    what: str
    group: str
    built_in: Mapping[str, str]
    protocol: Any
    error: type[EthogramError]
    named: str = "name"

    def all(self) -> Mapping[str, MemberT]:
        """Return every member by name, in alphabetical order.

        Raises *error* that names the one that does not load.
        """
        factories = self._factories()
        names = sorted(factories)
        return MappingProxyType({name: self._load(name, factories[name]) for name in names})

    def find(self, name: str, *, unknown: type[EthogramError]) -> MemberT:
        """Return the member called *name*; others are not loaded.

        Raises *unknown* with the nearest name and the list where there is none.
        """
        factories = self._factories()
        if name in factories:
            return self._load(name, factories[name])
        known = ", ".join(f"`{known}`" for known in sorted(factories))
        raise unknown(
            f"there is no {self.what} `{name}`",
            hint=did_you_mean(name, factories) + f"known: {known}",
        )

    def _factories(self) -> dict[str, Callable[[], Any]]:
        """Return what gives the function that makes each member."""
        found = {name: self._own(module) for name, module in self.built_in.items()}
        for point in entry_points(group=self.group):
            if point.name in found:
                origin = point.dist.name if point.dist else point.value
                raise self.error(
                    f"two {self.what}s are called `{point.name}`; one is from `{origin}`",
                    hint=f"uninstall `{origin}`, or rename its entry point",
                )
            found[point.name] = point.load
        return found

    def _own(self, module: str) -> Callable[[], Any]:
        return lambda: getattr(importlib.import_module(module), self.what)

    def _load(self, name: str, factory: Callable[[], Any]) -> MemberT:
        try:
            member: MemberT = factory()()
        except EthogramError:
            raise
        except Exception as error:  # whatever a foreign package raises while it is imported
            raise self.error(
                f"{self.what} `{name}` does not load: {type(error).__name__}: {error}",
                hint="upgrade or uninstall the package that provides it",
            ) from error
        if not isinstance(member, self.protocol) or getattr(member, self.named) != name:
            raise self.error(f"{self.what} `{name}` is none: its factory returned {member!r}")
        return member


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return the question whether the nearest of *words* was meant, empty where none is near."""
    near = get_close_matches(word, list(words), n=1)
    return f"did you mean `{near[0]}`? " if near else ""
