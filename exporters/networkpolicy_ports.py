"""The ports of a rule about a peer, as the receiving pods have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from types import MappingProxyType
from typing import TypeAlias

from ethogram.contracts.baseline import PeerIdentity, PeerValue
from ethogram.contracts.escape import printable

__all__ = [
    "DNS_PORT",
    "INVENTORY_HINT",
    "PROTOCOLS",
    "Port",
    "PortRange",
    "UnresolvedError",
    "is_dns",
    "port_order",
    "ports_of",
    "ranges_of",
]

Port: TypeAlias = "tuple[str, int | str]"
# Protocol, first port and last one; a name, and a port of its own, have no last one.
PortRange: TypeAlias = "tuple[str, int | str, int | None]"

PROTOCOLS = MappingProxyType({"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"})
DNS_PORT = 53
INVENTORY_HINT = "record with `--inventory`, so that addresses get owners and labels"
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_PORT_NUMBER = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LAST_PORT = 65535
# A plugin that knows no `endPort` takes the first port alone: two are better written as two.
_SHORTEST_RANGE = 3


class UnresolvedError(Exception):
    """The policy has no words for it; *hint* is what to do about that."""

    def __init__(self, message: str, hint: str | None = INVENTORY_HINT) -> None:
        super().__init__(message)
        self.hint = hint


def is_dns(value: PeerValue) -> bool:
    """Return whether *value* asks for names."""
    return value.direction == "out" and value.port == DNS_PORT and value.protocol in {"tcp", "udp"}


def ports_of(value: PeerValue) -> frozenset[Port]:
    """Return the ports that the receiving pod itself has."""
    numbers: set[int | str]
    match value.identity:
        case PeerIdentity(addresses=addresses) if value.address in addresses:
            # It went past the service, straight to what answers.
            numbers = {_own_port(value)}
        case PeerIdentity(kind="dns") if is_dns(value):
            numbers = {DNS_PORT, *map(_target, value.identity.targets)}
        case PeerIdentity(kind="service" | "dns" | "apiserver") if value.direction == "out":
            numbers = set(map(_target, value.identity.targets))
            if not numbers:
                raise UnresolvedError("the port of what answers behind it is not known")
        case _:
            numbers = {_own_port(value)}
    protocols = ("TCP", "UDP") if is_dns(value) else (PROTOCOLS[value.protocol],)
    return frozenset((protocol, number) for protocol in protocols for number in numbers)


def _target(text: str) -> int | str:
    if _PORT_NUMBER.fullmatch(text) and int(text) <= _LAST_PORT:
        return int(text)
    if _PORT_NAME.fullmatch(text):
        return text
    raise UnresolvedError(f"the target port `{printable(text)}` is none", hint=None)


def _own_port(value: PeerValue) -> int:
    if value.port:
        return value.port
    if value.direction == "in":
        raise UnresolvedError("the workload's own port is not known, or the kernel chose it", None)
    raise UnresolvedError("its port is not known", None)


def port_order(port: Port) -> tuple[str, int, str]:
    """Return what sorts ports: by protocol and number, names last."""
    protocol, number = port
    return (protocol, number, "") if isinstance(number, int) else (protocol, 1 << 16, number)


def ranges_of(ports: Iterable[Port]) -> Iterator[PortRange]:
    """Yield *ports*, sorted; three or more that follow one another without a gap are a range."""
    for protocol, group in groupby(sorted(set(ports), key=port_order), key=lambda port: port[0]):
        found = [number for _, number in group]
        numbers = [number for number in found if isinstance(number, int)]
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            members = [number for _, number in run]
            if len(members) >= _SHORTEST_RANGE:
                yield (protocol, members[0], members[-1])
            else:
                yield from ((protocol, number, None) for number in members)
        yield from ((protocol, name, None) for name in found if isinstance(name, str))
