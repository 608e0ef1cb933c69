"""The classes of peers, listening sockets and names that a baseline does not have."""

from __future__ import annotations

import re
from ipaddress import ip_address

from detector.grades import Class
from ethogram.contracts.baseline import DnsValue, ListenValue, PeerValue
from ethogram.contracts.finding import Severity
from ethogram.indicators.runtime_socket import RUNTIME_SOCKETS

__all__ = ["of_dns", "of_listen", "of_peer"]


def _class(severity: Severity, title: str, reason: str, *techniques: str) -> Class:
    return Class(severity, f"{title} outside the baseline", reason, techniques)


_NEVER_THERE = "the baseline never connects there"
_PACKETS = _class(
    "medium", "Raw packets", "a packet socket reads and forges what others send", "T1040"
)
_HEARS_OTHERS = frozenset({"packet", "family-44"})  # AF_XDP
_RAW = _class(
    "medium", "Raw socket", "it hears a whole protocol, and sends under any name", "T1040", "T1095"
)
_KERNEL = _class("low", "Kernel socket", "the baseline never asks the kernel this way", "T1016")
_CLIENT = _class("low", "Client", "whoever connected was not seen to connect before", "T1190")
_METADATA = _class(
    "high",
    "Cloud metadata service contacted",
    "it hands out the credentials of the machine",
    "T1552.005",
)
_API = _class(
    "medium", "Kubernetes API contacted", "the baseline never talks to the API server", "T1613"
)
_RUNTIME = _class(
    "high",
    "Socket of a container runtime",
    "who can talk to the runtime can become root of the host",
    "T1611",
)
_UNIX = _class("low", "UNIX socket", "the baseline never talks to it", "T1559")
_BOUND = _class("low", "Local socket bound", "the baseline never binds it", "T1559")
_EPHEMERAL = _class(
    "low",
    "Socket bound",
    "the baseline never binds one of this kind; the kernel chose the port",
    "T1571",
)
_PORT = _class(
    "medium",
    "Listening port",
    "the baseline never listens there: it may be a way in that somebody opened",
    "T1571",
)
_LONG_NAME = _class(
    "medium",
    "Long name asked for",
    "labels as long as this carry data out through resolvers",
    "T1071.004",
    "T1048",
)
_LOCAL_NAME = _class("low", "Local name asked for", "the baseline never asks for it", "T1071.004")
_NAME = _class(
    "medium",
    "Name asked for",
    "the baseline never asks for it: what follows goes to somebody new",
    "T1071.004",
)

_RUNTIME_SOCKET = re.compile(RUNTIME_SOCKETS)
_METADATA_ADDRESSES = frozenset(
    {"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"}
)
_TECHNIQUE_OF_PORT = {
    53: "T1071.004",
    25: "T1071.003",
    **dict.fromkeys((80, 443, 8080, 8443), "T1071.001"),
}


def of_peer(value: PeerValue) -> Class:
    """Return the class of a peer: who connects is not the workload's choice, so that is low."""
    if value.protocol == "unix":
        return _RUNTIME if _RUNTIME_SOCKET.search(value.address) else _UNIX
    if value.protocol in _HEARS_OTHERS:
        return _PACKETS
    if _is_of_kernel(value.protocol):
        return _KERNEL
    return _CLIENT if value.direction == "in" else _of_outgoing(value)


def _of_outgoing(value: PeerValue) -> Class:
    if value.address in _METADATA_ADDRESSES:
        return _METADATA
    if value.identity is not None and value.identity.kind == "apiserver":
        return _API
    technique = _TECHNIQUE_OF_PORT.get(value.port or 0, "T1071")
    if _is_loopback(value.address):
        return _class("low", "Peer on the loopback interface", _NEVER_THERE, technique)
    reason = f"{_NEVER_THERE}: data may leave, or commands come in"
    return _class("medium", "Peer", reason, technique)


def _is_of_kernel(protocol: str) -> bool:
    return protocol == "netlink" or protocol.startswith("family-")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def of_listen(value: ListenValue) -> Class:
    """Return the class of a socket of its own; a port of the kernel's choice is a client's."""
    if value.protocol in _HEARS_OTHERS:
        return _PACKETS
    if value.protocol.startswith("raw-"):
        return _RAW
    if _is_of_kernel(value.protocol):
        return _KERNEL
    if value.protocol == "unix":
        return _BOUND
    return _PORT if value.port else _EPHEMERAL


# A name of the cluster or of the host's own domain, or the name of an address.
_LOCAL = re.compile(r"(?:^|\.)(?:local|localdomain|localhost|internal|arpa|svc)$")
_LONG_LABEL = 40


def of_dns(value: DnsValue) -> Class:
    """Return the class of a name: low inside, medium outside; long labels may carry data."""
    labels = value.name.split(".")
    if max(map(len, labels)) > _LONG_LABEL:
        return _LONG_NAME
    return _LOCAL_NAME if len(labels) < 2 or _LOCAL.search(value.name) else _NAME
