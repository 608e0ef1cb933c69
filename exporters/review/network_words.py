"""Network policies in plain words: each peer and port that may be reached, or may reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal, TypeAlias

from ethogram.contracts.baseline import PeerValue
from ethogram.errors import ExportError
from exporters.review.protocol import Grant, Told

__all__ = ["ANYBODY", "Direction", "Peer", "Port", "Way", "grant_of", "ports_of", "tell_ways"]

Direction: TypeAlias = Literal["in", "out"]
ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody in words; *cidr* where just an address range says who."""

    words: str
    cidr: str | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """Ports of one protocol, `first` to `last`; a *name* instead, or neither: all of them."""

    protocol: str
    first: int | None = None
    last: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.first is None:
            return f"{self.protocol} {self.name or 'on every port'}"
        return f"{self.protocol} {self.first}" + (f"-{self.last}" if self.last else "")

    def covers(self, other: Port) -> bool:
        """Return whether *other* is among these ports."""
        if self == other:
            return True
        if self.protocol not in (other.protocol, "ANY"):
            return False
        if self.first is None:
            return self.name is None
        last = other.last or other.first
        return (
            other.first is not None
            and last is not None
            and self.first <= other.first
            and last <= (self.last or self.first)
        )


@dataclass(frozen=True, slots=True)
class Way:
    """One peer, and one port of it or of the workload; without *port* all."""

    direction: Direction
    peer: Peer
    port: Port | None


@dataclass(frozen=True, slots=True)
class _WayGrant(Grant):
    """A grant that knows which other ways lie within it."""

    way: Way | None = None

    def covers(self, other: Grant) -> bool:
        """Return whether whoever may this may *other*."""
        if not isinstance(other, _WayGrant) or self.way is None or other.way is None:
            return False
        mine, theirs = self.way, other.way
        return (
            mine.direction == theirs.direction
            and (mine.port is None or (theirs.port is not None and mine.port.covers(theirs.port)))
            and (mine.peer.words in (ANYBODY, theirs.peer.words) or _within(theirs, mine))
        )


def ports_of(items: Sequence[Any]) -> Iterator[Port | None]:
    """Yield the ports of a rule; None for all, where it names none."""
    if not items:
        yield None
    for item in items:
        if not isinstance(item, Mapping):
            raise ExportError("the policy is malformed: a port is no mapping")
        protocol = str(item.get("protocol", "TCP"))
        port = item.get("port")
        number = _number(port)
        if number is None:
            yield Port(protocol, name=None if port in (None, "0") else str(port))
        else:
            yield Port(protocol, number, _number(item.get("endPort")))


def tell_ways(ways: Iterable[Way]) -> Told:
    """Return what a policy says that lets *ways* be."""
    found = tuple(dict.fromkeys(ways))
    counts = []
    for direction, words in (("in", "in"), ("out", "out")):
        peers = {way.peer.words for way in found if way.direction == direction}
        ports = {way.port for way in found if way.direction == direction}
        everybody = "everybody" if ANYBODY in peers else f"{len(peers):,} peers"
        numbers = "every port" if None in ports else f"{len(ports):,} ports"
        counts.append(f"{words}: {everybody} on {numbers}" if peers else f"{words}: nobody")
    return Told("denies", tuple(map(grant_of, found)), "; ".join(counts))


def grant_of(way: Way) -> Grant:
    """Return *way* as a grant that covers those within it."""
    preposition = "from" if way.direction == "in" else "to"
    port = "every port" if way.port is None else str(way.port)
    at = "to its" if way.direction == "in" else "at"
    return _WayGrant("peer", f"{preposition} {way.peer.words} {at} {port}", _value(way), way=way)


def _value(way: Way) -> PeerValue | None:
    port = way.port
    number = port.first if port is not None and port.first and port.first <= 65535 else None
    address = (way.peer.cidr or "").partition("/")[0]
    return PeerValue(
        direction=way.direction,
        protocol=port.protocol.lower() if port is not None else "tcp",
        address=address,
        port=number,
    )


def _within(inner: Way, outer: Way) -> bool:
    one, other = _network(inner.peer.cidr), _network(outer.peer.cidr)
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.subnet_of(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.subnet_of(other)
    return False


def _network(cidr: str | None) -> IPv4Network | IPv6Network | None:
    try:
        return None if cidr is None else ip_network(cidr, strict=False)
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
