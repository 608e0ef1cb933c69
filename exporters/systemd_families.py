"""Settings about sockets: of which families, bound to which ports, and whether of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ethogram.contracts.baseline import ListenValue, PeerValue, Rule
from exporters.seccomp_calls import is_left_to_the_runtime
from exporters.systemd_seen import ABSTRACT, Seen
from exporters.systemd_setting import LeftOut, Setting, unused

__all__ = ["families", "network_settings"]

# linux/socket.h; systemd takes these names, and no numbers.
_FAMILIES: Mapping[int, str] = MappingProxyType(
    {
        1: "AF_UNIX", 2: "AF_INET", 3: "AF_AX25", 4: "AF_IPX", 5: "AF_APPLETALK", 9: "AF_X25",
        10: "AF_INET6", 15: "AF_KEY", 16: "AF_NETLINK", 17: "AF_PACKET", 21: "AF_RDS", 24:
        "AF_PPPOX", 26: "AF_LLC", 27: "AF_IB", 28: "AF_MPLS", 29: "AF_CAN", 30: "AF_TIPC",
        31: "AF_BLUETOOTH", 33: "AF_RXRPC", 38: "AF_ALG", 39: "AF_NFC", 40: "AF_VSOCK",
        41: "AF_KCM", 42: "AF_QIPCRTR", 44: "AF_XDP",
    }
)  # fmt: skip
_OF_PROTOCOL = MappingProxyType({"unix": 1, "netlink": 16, "packet": 17})
_MASK = 0xFFFFFFFF


def families(seen: Seen) -> Iterator[Setting | LeftOut]:
    """Yield `RestrictAddressFamilies`.

    A socket that was made and not used is in no rule of its own. So unless the arguments of every
    `socket` call are known, only unusual families are refused; to allow the others by a list would
    undo a shorter one in the unit's file. Every program logs and looks up names by UNIX sockets.
    """
    name = "RestrictAddressFamilies"
    numbers, rules = _of_rules(seen)
    asked = _of_arguments(seen)
    numbers |= {1} if asked is None else asked | {1}
    if unknown := sorted(numbers - set(_FAMILIES)):
        yield LeftOut(name, f"family {unknown[0]}, which it used, has no name here", rules)
        return
    if asked is None:
        others = sorted(set(_FAMILIES.values()) - {_FAMILIES[each] for each in {2, 10, *numbers}})
        evidence = "it used no socket of these families; the usual ones it may have made unused"
        yield unused(name, f"~{' '.join(others)}", evidence)
        return
    words = " ".join(sorted(_FAMILIES[number] for number in numbers))
    evidence = "every socket that it made was of these, or it made none; AF_UNIX for logs"
    # The empty value goes first: a list that refuses would turn this one round.
    yield Setting(name, ("", words), "observed", evidence, rules)


def _of_rules(seen: Seen) -> tuple[set[int], tuple[str, ...]]:
    numbers: set[int] = set()
    rules = set()
    for value, rule in _sockets(seen):
        word = value.protocol
        if word.startswith("family-"):
            numbers.add(int(word.removeprefix("family-")))
        elif (number := _OF_PROTOCOL.get(word)) is not None:
            numbers.add(number)
        elif value.address:
            numbers.add(10 if ":" in value.address else 2)
        else:
            numbers |= {2, 10}  # whom an inventory names may have both
        rules.add(rule)
    return numbers, tuple(sorted(rules))


def _sockets(seen: Seen) -> Iterator[tuple[ListenValue | PeerValue, str]]:
    rules: tuple[Rule[Any], ...] = (*seen.baseline.rules.peers, *seen.baseline.rules.listens)
    for rule in sorted(rules, key=lambda rule: rule.id):
        if not is_left_to_the_runtime(rule.evidence.phases):
            yield rule.value, rule.id


def _of_arguments(seen: Seen) -> set[int] | None:
    """Return the families of all sockets that were asked for, None where they are not known."""
    if "socketcall" in seen.calls or "io_uring_enter" in seen.calls:
        return None
    found: set[int] = set()
    archs = {
        rule.value.arch for rule in seen.baseline.rules.syscalls if rule.value.name == "socket"
    }
    for arch in archs:
        told = [
            one
            for one in seen.baseline.arguments or ()
            if (one.arch, one.name, one.index) == (arch, "socket", 0)
        ]
        if not told or any(one.others for one in told):
            return None
        found.update(value.value & _MASK for one in told for value in one.values)
    return found


def network_settings(seen: Seen) -> Iterator[Setting | LeftOut]:
    """Yield `PrivateNetwork`, or which ports may be bound."""
    for value, rule in _sockets(seen):
        if value.protocol != "unix" or value.address.startswith(ABSTRACT):
            what = f"{value.protocol} {value.address}".strip()
            yield LeftOut("PrivateNetwork", f"it used {what}", (rule,))
            yield from _ports(seen)
            return
    asked = _of_arguments(seen)
    if asked is None or asked - {1}:
        yield LeftOut("PrivateNetwork", "it may have made a socket of the network")
        yield from _ports(seen)
        return
    evidence = "it made no socket of the network, and used none"
    yield unused("PrivateNetwork", "yes", evidence)


def _ports(seen: Seen) -> Iterator[Setting | LeftOut]:
    name = "SocketBindDeny"
    ports: set[tuple[str, int]] = set()
    rules = []
    for rule in sorted(seen.baseline.rules.listens, key=lambda rule: rule.id):
        value = rule.value
        if value.protocol in _OF_PROTOCOL or value.protocol.startswith("family-"):
            continue
        if value.protocol not in ("tcp", "udp") or value.port in (None, 0):
            evidence = f"it bound a {value.protocol} socket without a port of its choice"
            yield LeftOut(name, evidence, (rule.id,))
            return
        ports.add((value.protocol, int(value.port or 0)))
        rules.append(rule.id)
    yield unused(name, "any", "it bound no port but those that `SocketBindAllow` says, if any")
    if ports:
        values = tuple(f"{protocol}:{port}" for protocol, port in sorted(ports))
        evidence = "it bound these ports"
        yield Setting("SocketBindAllow", values, "observed", evidence, tuple(sorted(rules)))
