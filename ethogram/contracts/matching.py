"""Whether a baseline allows what was seen: the one definition of "allowed".

Everything that was recorded outside quarantine is allowed by the baseline that was learnt of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias, assert_never

from ethogram.contracts.baseline import (
    AnyValue,
    Baseline,
    CapabilityValue,
    Dimension,
    DnsValue,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    PeerValue,
    SyscallValue,
)

__all__ = ["Allowlist", "allows", "pattern_to_regex"]

_Identity: TypeAlias = "tuple[str | int | None, ...]"


def allows(baseline: Baseline, dimension: Dimension, value: AnyValue) -> bool:
    """Return whether *baseline* allows *value*; for many questions keep an `Allowlist`."""
    return Allowlist(baseline).allows(dimension, value)


class Allowlist:
    """The rules of one baseline, ready to be asked."""

    def __init__(self, baseline: Baseline) -> None:
        self._exact: dict[Dimension, set[_Identity]] = {}
        self._access: dict[str, set[str]] = {}
        for dimension, rule in baseline.rules.all():
            self._exact.setdefault(dimension, set()).add(_identity(rule.value))
        patterns: dict[str, set[str]] = {}
        for value in (rule.value for rule in baseline.rules.files):
            table = patterns if "*" in value.path else self._access
            table.setdefault(value.path, set()).update(value.access)
        self._patterns: list[tuple[re.Pattern[str], frozenset[str]]] = [
            (pattern_to_regex(path), frozenset(access)) for path, access in patterns.items()
        ]

    def allows(self, dimension: Dimension, value: AnyValue) -> bool:
        """Return whether some rule of *dimension* allows *value*.

        The path of a file is an exact one, as `escape_pattern` writes it. A file may be opened
        with each access that any rule for its path has, in any combination.
        """
        if isinstance(value, FileValue):
            return dimension == "files" and self._allows_file(value)
        return _identity(value) in self._exact.get(dimension, ())

    def _allows_file(self, value: FileValue) -> bool:
        known = self._access.get(value.path)
        matching: Iterable[Iterable[str]] = [
            access for pattern, access in self._patterns if pattern.fullmatch(value.path)
        ]
        if known is None and not matching:
            return False
        return set(value.access) <= set(known or ()).union(*matching)


def pattern_to_regex(pattern: str) -> re.Pattern[str]:
    """Return what matches the escaped paths that *pattern* stands for: `*` is no `/`."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def _identity(value: AnyValue) -> _Identity:
    """Return the parts of *value* that decide; a name that goes with an address does not."""
    match value:
        case SyscallValue():
            return (value.arch, value.nr)
        case ExecValue() | FileValue():
            return (value.path,)
        case PeerValue():
            return (value.direction, value.protocol, value.address, value.port)
        case ListenValue():
            return (value.protocol, value.address, value.port)
        case DnsValue() | CapabilityValue():
            return (value.name,)
        case OperationValue():
            return (value.operation, value.target)
        case _:
            assert_never(value)
