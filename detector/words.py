"""Values of baselines in words, and those of a baseline that are nearest to what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import assert_never

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

__all__ = ["in_words", "nearest"]

_SHOWN = 3
_COMPARED = 2000  # a comparison costs some microseconds
_CUTOFF = 0.4


def in_words(value: AnyValue) -> str:  # noqa: PLR0911  one for each kind of value
    """Return *value* on one line; what a workload chose is escaped already."""
    match value:
        case SyscallValue():
            return f"{value.name or value.nr} ({value.arch})"
        case ExecValue():
            return f"{value.path} (not from the image)" if value.upper else value.path
        case FileValue():
            return f"{value.path} ({value.access or 'path only'})"
        case PeerValue():
            return _peer(value)
        case ListenValue():
            return f"{value.protocol} {_at(value.address, value.port)}"
        case DnsValue() | CapabilityValue():
            return value.name
        case OperationValue():
            return value.operation if value.target is None else f"{value.operation} {value.target}"
        case _:
            assert_never(value)


def _peer(value: PeerValue) -> str:
    who = _whose(value.identity) if value.identity else value.address
    name = f" ({value.name})" if value.name else ""
    if value.direction == "in":
        own = f" at port {value.port}" if value.port is not None else ""
        return f"{value.protocol} from {who}{name}{own}"
    return f"{value.protocol} to {_at(who, value.port)}{name}"


def _whose(identity: PeerIdentity) -> str:
    name = f"{identity.namespace}/{identity.name}" if identity.namespace else identity.name
    return f"{identity.owner or identity.kind} {name}"


def _at(who: str, port: int | None) -> str:
    if port is None:
        return who or "any address"
    host = f"[{who}]" if ":" in who and " " not in who else who
    return f"{host}:{port}"


def nearest(baseline: Baseline, dimension: Dimension, value: AnyValue) -> tuple[str, ...]:
    """Return at most three values that *baseline* has instead, the likest first.

    None of a system call: that two have names alike says nothing.
    """
    if isinstance(value, SyscallValue):
        return ()
    seen = in_words(value)
    texts = dict.fromkeys(_candidates(baseline, dimension, value))
    return tuple(get_close_matches(seen, list(texts)[:_COMPARED], n=_SHOWN, cutoff=_CUTOFF))


def _candidates(baseline: Baseline, dimension: Dimension, value: AnyValue) -> Iterator[str]:
    """Yield what is allowed in *dimension*, the same file or directory first.

    What the container runtime alone did is allowed to nobody who is judged.
    """
    rules = [
        rule.value
        for rule in getattr(baseline.rules, dimension)
        if not rule.evidence.is_the_runtimes
    ]
    if isinstance(value, FileValue):
        folder = value.path.rpartition("/")[0]
        yield from (in_words(one) for one in rules if one.path == value.path)
        yield from (in_words(one) for one in rules if one.path.rpartition("/")[0] == folder)
    yield from map(in_words, rules)
