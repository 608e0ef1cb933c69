"""Whether a baseline allows what was seen: the one definition of "allowed".

Everything that was recorded outside quarantine is allowed by the baseline that was learnt of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
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
    PeerIdentity,
    PeerValue,
    SyscallValue,
)

__all__ = ["Allowlist", "allows", "pattern_to_regex"]

# Letters of what is done to a file without opening it.
_CHANGES = frozenset("ndlp")
# Requests of a ring, which the same recorders tell.
_RING = "io_uring_request"
# The kernel makes it of a wait that was interrupted, on a busy machine or under a debugger.
_RESTARTED = "restart_syscall"
_Identity: TypeAlias = "tuple[str | int | None, ...]"


def allows(baseline: Baseline, dimension: Dimension, value: AnyValue) -> bool:
    """Return whether *baseline* allows *value*; for many questions keep an `Allowlist`."""
    return Allowlist(baseline).allows(dimension, value)


class Allowlist:
    """The rules of one baseline, ready to be asked."""

    def __init__(self, baseline: Baseline) -> None:
        # Of what an older recorder could not see, the rules say nothing.
        self._unjudged = frozenset() if baseline.observation.file_changes else _CHANGES
        self._exact: dict[Dimension, set[_Identity]] = {}
        self._access: dict[str, set[str]] = {}
        for dimension, rule in baseline.rules.all():
            self._exact.setdefault(dimension, set()).update(_identities(rule.value))
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
        if isinstance(value, OperationValue) and value.operation == _RING and self._unjudged:
            return True
        if isinstance(value, SyscallValue) and value.name == _RESTARTED:
            return True
        return not self._exact.get(dimension, set()).isdisjoint(_identities(value))

    def _allows_file(self, value: FileValue) -> bool:
        # What truncates without opening is `t` alone.
        if value.access and (self._unjudged | {"t"}).issuperset(value.access) and self._unjudged:
            return True
        access = set(value.access) - self._unjudged
        known = self._access.get(value.path)
        matching: Iterable[Iterable[str]] = [
            access for pattern, access in self._patterns if pattern.fullmatch(value.path)
        ]
        if known is None and not matching:
            return False
        return access <= set(known or ()).union(*matching)


def pattern_to_regex(pattern: str) -> re.Pattern[str]:
    """Return what matches the escaped paths that *pattern* stands for: `*` is no `/`."""
    return re.compile("[^/]*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


def _identities(value: AnyValue) -> Iterator[_Identity]:
    """Yield the parts of *value* that decide: one of them in common, and a rule allows it."""
    match value:
        case SyscallValue():
            yield (value.arch, value.nr)
        case ExecValue():
            yield (value.path, "upper" if value.upper else "")
        case FileValue():
            yield (value.path,)
        case PeerValue():
            yield from _peer_identities(value)
        case ListenValue():
            yield (value.protocol, value.address, value.port)
        case DnsValue() | CapabilityValue():
            yield (value.name,)
        case OperationValue():
            yield (value.operation, value.target)
        case _:
            assert_never(value)


def _peer_identities(value: PeerValue) -> Iterator[_Identity]:
    """Yield what a peer is known by: its identity where there is one, else address or name.

    Nodes come and go, and the API server moves: any of them is the same. The name of a peer counts
    where it talks to the outside: addresses behind names change.
    """
    way = (value.direction, value.protocol, value.port)
    who = value.identity
    match who:
        case None:
            yield (*way, "address", value.address)
        case PeerIdentity(kind="node" | "apiserver"):
            yield (*way, who.kind)
        case _:
            yield (*way, who.kind, who.namespace, who.owner, who.name)
    if value.name is not None and (who is None or who.kind == "external"):
        yield (*way, "name", value.name)
