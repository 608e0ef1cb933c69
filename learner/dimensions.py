"""The keys of a summary: how each dimension writes what was seen as bytes, and reads it back.

Canonical, so that two recordings of the same behaviour give the same key: JSON arrays without
spaces in UTF-8, with bytes that are not printable UTF-8 escaped as `\\xNN`; numbers of system
calls in decimal; DNS names and n-grams raw. A key of an earlier version that has another form is
malformed.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from ethogram.contracts.baseline import (
    AnyValue,
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
from ethogram.contracts.escape import escape, unescape
from ethogram.contracts.flags import Access
from ethogram.contracts.syscall_names import name_of
from ethogram.errors import RecordingError

__all__ = [
    "access_letters",
    "address_text",
    "canonical",
    "decode_argument",
    "decode_value",
    "made_socket",
    "one_bit_a_letter",
    "parse_key",
    "protocol_word",
    "quarantine_key",
    "split_quarantine_key",
]

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET = 1, 2, 10, 16, 17
_FAMILIES = {AF_UNIX: "unix", AF_NETLINK: "netlink", AF_PACKET: "packet"}
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_NETLINK = {
    0: "route", 2: "usersock", 4: "sock_diag", 5: "nflog", 6: "xfrm", 7: "selinux", 9: "audit",
    10: "fib_lookup", 11: "connector", 12: "netfilter", 15: "kobject_uevent", 16: "generic",
    18: "scsitransport", 20: "rdma", 21: "crypto", 22: "smc",
}  # fmt: skip
_RAW = 3  # SOCK_RAW
_U32, _U64, _LAST_ARGUMENT = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 5
_DEFAULT_PROTOCOLS = {1: 6, 2: 17}  # what protocol 0 means for a stream or datagram socket
_LETTERS = (
    (Access.READ, "r"),
    (Access.WRITE, "w"),
    (Access.EXEC, "x"),
    (Access.CREATE, "c"),
    (Access.TRUNCATE, "t"),
    (Access.APPEND, "a"),
    (Access.MAKE | Access.SYMLINK | Access.RENAME_TO, "n"),
    (Access.UNLINK | Access.RENAME_FROM, "d"),
    (Access.LINK, "l"),
    (Access.ATTRIBUTES, "p"),
)


def canonical(parts: list[Any]) -> bytes:
    """Return *parts* as a key: a JSON array without spaces, in UTF-8, its objects' keys sorted."""
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.encode()


def parse_key(key: bytes, length: int) -> list[Any]:
    """Return the parts of a *key* of *length* parts; `RecordingError` where it is none."""
    try:
        parts = json.loads(key)
    except (ValueError, RecursionError) as error:
        raise _malformed(key) from error
    if not isinstance(parts, list) or len(parts) != length:
        raise _malformed(key)
    return parts


def _malformed(key: bytes) -> RecordingError:
    return RecordingError(
        f"the summary has a malformed key: `{escape(key[:80])}`",
        hint="summarize the recordings again with this version",
    )


@lru_cache(maxsize=256)
def access_letters(access: int) -> str:
    """Return the letters of `rwxctandlp` that the bits of *access* stand for."""
    return "".join(letter for bits, letter in _LETTERS if access & bits)


def one_bit_a_letter(access: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return *access* with the lowest bit of each letter alone: equal where the letters are."""
    told = np.zeros_like(access)
    for bits, _ in _LETTERS:
        told |= np.where(access & bits, int(bits) & -int(bits), 0).astype(access.dtype)
    return told


@lru_cache(maxsize=1024)
def protocol_word(family: int, kind: int, protocol: int) -> str:
    """Return `tcp`, `udp`, `unix` ..., or the number of a protocol that has no word here."""
    if word := _FAMILIES.get(family):
        return word
    if family not in (AF_INET, AF_INET6):
        return f"family-{family}"
    number = protocol or _DEFAULT_PROTOCOLS.get(kind, 0)
    return _PROTOCOLS.get(number, f"protocol-{number}")


@lru_cache(maxsize=1024)
def made_socket(family: int, kind: int, protocol: int) -> tuple[str, str]:
    """Return protocol and address of a socket of its own: `netlink`, `route`; `raw-icmp`, none."""
    word = protocol_word(family, kind, protocol)
    if family == AF_NETLINK:
        return word, _NETLINK.get(protocol, f"protocol-{protocol}")
    if family in (AF_INET, AF_INET6) and kind == _RAW:
        word = f"raw-{word}"
    return word, ""


@lru_cache(maxsize=4096)
def address_text(address: bytes | None, unix_path: bytes | None) -> str:
    """Return an address as people write it, a UNIX socket's path escaped, empty for neither."""
    if unix_path is not None:
        return escape(unix_path)
    if address is None:
        return ""
    if len(address) in (4, 16):
        return str(ipaddress.ip_address(address))
    return escape(address)


def quarantine_key(dimension: str, key: bytes, indicators: list[str]) -> bytes:
    """Return the key of a row that says: *key* of *dimension* was seen while these fired."""
    return canonical([dimension, escape(key), indicators])


def split_quarantine_key(key: bytes) -> tuple[str, bytes, tuple[str, ...]]:
    """Return dimension, key and ids of indicators of a quarantined row."""
    dimension, inner, indicators = parse_key(key, 3)
    return str(dimension), unescape(str(inner)), tuple(str(name) for name in indicators)


def _syscall(arch: str | None, key: bytes) -> SyscallValue:
    number = int(key)
    return SyscallValue(arch=arch, name=name_of(str(arch), number), nr=number)  # type: ignore[arg-type]  # pydantic refuses a word that is no architecture


def _exec(_arch: str | None, key: bytes) -> ExecValue:
    path, is_upper = parse_key(key, 2)
    if not isinstance(is_upper, bool):
        raise _malformed(key)
    return ExecValue(path=path, upper=is_upper or None)


def _file(_arch: str | None, key: bytes) -> FileValue:
    path, access = parse_key(key, 2)
    # In a rule a bare `*` is a wildcard; in a key it is a character like any other.
    return FileValue(path=str(path).replace("*", r"\x2a"), access=access)


def _peer(_arch: str | None, key: bytes) -> PeerValue:
    fields = ("direction", "protocol", "address", "port", "name", "identity")
    return PeerValue.model_validate(dict(zip(fields, parse_key(key, len(fields)), strict=True)))


def _listen(_arch: str | None, key: bytes) -> ListenValue:
    protocol, address, port = parse_key(key, 3)
    return ListenValue(protocol=protocol, address=address, port=port)


def _operation(_arch: str | None, key: bytes) -> OperationValue:
    operation, target = parse_key(key, 2)
    return OperationValue(operation=operation, target=target)


_DECODERS: Mapping[Dimension, Callable[[str | None, bytes], AnyValue]] = MappingProxyType(
    {
        "syscalls": _syscall,
        "execs": _exec,
        "files": _file,
        "peers": _peer,
        "listens": _listen,
        "dns": lambda _, key: DnsValue(name=escape(key)),
        "capabilities": lambda _, key: CapabilityValue(name=escape(key)),
        "operations": _operation,
    }
)


def decode_argument(key: bytes) -> tuple[int, int, int | None]:
    """Return the number of a call, which of its arguments, and its value: None is not told.

    `RecordingError` where *key*, of dimension `arguments`, says nothing.
    """
    parts = parse_key(key, 3)
    most = (_U32, _LAST_ARGUMENT, _U64)
    told = parts if parts[2] is not None else parts[:2]
    for part, limit in zip(told, most, strict=False):
        if type(part) is not int or not 0 <= part <= limit:
            raise _malformed(key)
    number, index, value = parts
    return number, index, value


def decode_value(dimension: Dimension, arch: str | None, key: bytes) -> AnyValue:
    """Return the value that *key* stands for; `RecordingError` where it stands for none."""
    try:
        return _DECODERS[dimension](arch, key)
    except (ValueError, KeyError) as error:
        raise _malformed(key) from error
