"""Addresses of peers: what they are worth as a block of a policy."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

__all__ = [
    "METADATA",
    "NODE_LOCAL_DNS",
    "Address",
    "Network",
    "block",
    "is_own",
    "is_public",
    "is_unicast",
    "parse_address",
    "sort_key",
    "widest",
]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Where NodeLocal DNSCache listens on every node, whatever the cluster's addresses are.
NODE_LOCAL_DNS = IPv4Address("169.254.20.10")
# Where most clouds tell a machine what it is, and give it credentials.
METADATA: frozenset[Address] = frozenset(
    {ip_address("169.254.169.254"), ip_address("fd00:ec2::254")}
)
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "240.0.0.0/4",
            "fc00::/7",
            "fe80::/10",
        ),
    )
)


def parse_address(text: str) -> Address | None:
    """Return the address that *text* is, or None; an IPv4 address inside of IPv6 is taken out."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def is_own(address: Address) -> bool:
    """Return whether traffic to *address* never leaves the pod.

    Linux takes a connection to the unspecified address for one to the host itself.
    """
    return address.is_loopback or address.is_unspecified


def is_unicast(address: Address) -> bool:
    """Return whether *address* can be one peer's: neither the pod's own nor that of a group."""
    is_broadcast = address == IPv4Address("255.255.255.255")
    return not (is_own(address) or address.is_multicast or is_broadcast)


def is_public(address: Address) -> bool:
    """Return whether *address* is somebody's on the internet."""
    return is_unicast(address) and not any(address in network for network in _NOT_PUBLIC)


def block(address: Address) -> str:
    """Return the CIDR that holds *address* alone."""
    return f"{address}/{address.max_prefixlen}"


def widest(address: Address, networks: Iterable[Network]) -> Network | None:
    """Return the widest of *networks* that holds *address*."""
    holding = [network for network in networks if address in network]
    return min(holding, key=lambda network: network.prefixlen, default=None)


def sort_key(cidr: str) -> tuple[int, int, int]:
    """Return what sorts CIDRs by family and number."""
    network = ip_network(cidr)
    return (network.version, int(network.network_address), network.prefixlen)
