"""Which detectors there are: every module of this package that defines one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from learner import detectors as package
from learner.detectors.base import Detector

__all__ = ["detectors"]

_NOT_ONE = frozenset({"base", "grams", "registry"})


@cache
def detectors() -> Mapping[str, type[Detector]]:
    """Return every detector's class by its name, in alphabetical order.

    A module defines exactly one, under a name that no other has; else `TypeError`.
    """
    found: dict[str, type[Detector]] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        if module in _NOT_ONE:
            continue
        members = vars(importlib.import_module(f"{package.__name__}.{module}"))
        classes = [
            member
            for member in members.values()
            if isinstance(member, type)
            and issubclass(member, Detector)
            and member.__module__ == f"{package.__name__}.{module}"
        ]
        if len(classes) != 1 or classes[0].name in found:
            raise TypeError(f"`{module}` does not define exactly one detector of its own name")
        found[classes[0].name] = classes[0]
    return MappingProxyType(dict(sorted(found.items())))
