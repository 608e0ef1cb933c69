"""Values of baselines in words, on one line, the same wherever people read them."""

from __future__ import annotations

from typing import assert_never

from ethogram.contracts.baseline_values import (
    AnyValue,
    CapabilityValue,
    DnsValue,
    ExecValue,
    FileValue,
    ListenValue,
    OperationValue,
    PeerIdentity,
    PeerValue,
    SyscallValue,
)

__all__ = ["in_words"]

# One architecture of a host is the rule; another one is worth saying.
_NATIVE = frozenset({"x86_64", "aarch64"})


def in_words(value: AnyValue) -> str:  # noqa: PLR0911  one for each kind of value
    """Return *value* in a few words: `tcp to Deployment shop/redis:6379`.

    What a workload chose is as the value has it, escaped; `printable` guards a terminal.
    """
    match value:
        case SyscallValue():
            name = value.name or str(value.nr)
            return name if value.arch in _NATIVE else f"{name} ({value.arch})"
        case ExecValue():
            return f"{value.path} (not from the image)" if value.upper else value.path
        case FileValue():
            return f"{value.path} {value.access}".rstrip()
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
    """Return who came to which port of ours, or to which port of whom we went."""
    who = _address(value.address) if value.identity is None else _who(value.identity, value)
    name = f" ({value.name})" if value.name else ""
    if value.direction == "out":
        port = "" if value.port is None else f":{value.port}"
        return f"{value.protocol} to {who}{port}{name}"
    own = "" if value.port is None else f" to :{value.port}"
    return f"{value.protocol} from {who}{name}{own}"


def _who(identity: PeerIdentity, value: PeerValue) -> str:
    name = f"{identity.namespace}/{identity.name}" if identity.namespace else identity.name
    match identity.kind:
        case "pod":
            return f"{identity.owner or 'pod'} {name}"
        case "apiserver":
            return "the API server"
        case "external":
            return f"{name} at {_address(value.address)}"
        case "node" | "service":
            return f"{identity.kind} {name}"
        case "dns":
            return f"resolver {name}"
        case _:
            assert_never(identity.kind)


def _at(address: str, port: int | None) -> str:
    return address if port is None else f"{_address(address)}:{port}"


def _address(address: str) -> str:
    """Return *address* so that a port may follow it; a socket's path holds a colon as it is."""
    return f"[{address}]" if ":" in address and "/" not in address else address
