"""Builds baselines that talk to peers, and says what connections their rules stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal

from ethogram.contracts.baseline import (
    Baseline,
    ListenValue,
    PeerValue,
    Rule,
    Rules,
    rule_id,
)
from ethogram.contracts.labels import VOLATILE_LABELS
from ethogram.contracts.policy_network import Endpoint
from tests.baselines import make_baseline, syscall_rule

__all__ = [
    "API_SERVER",
    "DATABASE",
    "DNS",
    "EVERY_PEER",
    "LOADGEN",
    "NODE",
    "PROMETHEUS",
    "REDIS",
    "Connection",
    "connections",
    "listen_rule",
    "make_network_baseline",
    "peer_rule",
]

_EVIDENCE = syscall_rule("read").evidence
_TRANSPORTS = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}
# What named ports are in the pods that answer.
_NAMED_PORT = 9999
_SHOP = "shop-staging"
REDIS = {
    "kind": "service",
    "namespace": _SHOP,
    "name": "redis",
    "selector": {"app": "redis"},
    "targets": ("6379",),
}
DATABASE = {
    "kind": "service",
    "namespace": _SHOP,
    "name": "database",
    "targets": ("5432",),
    "addresses": ("10.20.0.5", "fd00:20::5"),
}
DNS = {
    "kind": "dns",
    "namespace": "kube-system",
    "name": "kube-dns",
    "selector": {"k8s-app": "kube-dns"},
    "targets": ("53",),
}
_OPENSHIFT_DNS = {
    "kind": "dns",
    "namespace": "openshift-dns",
    "name": "dns-default",
    "selector": {"dns.operator.openshift.io/daemonset-dns": "default"},
    "targets": ("5353",),
}
LOADGEN = {
    "kind": "pod",
    "namespace": _SHOP,
    "owner": "Deployment",
    "name": "loadgen",
    "selector": {"app": "loadgen"},
}
PROMETHEUS = {
    "kind": "pod",
    "namespace": "monitoring",
    "owner": "StatefulSet",
    "name": "prometheus",
    "selector": {"app": "prometheus"},
}
API_SERVER = {
    "kind": "apiserver",
    "namespace": "default",
    "name": "kubernetes",
    "targets": ("6443",),
    "addresses": ("10.77.0.2", "10.77.0.3"),
}
NODE = {"kind": "node", "name": "node-1"}
_OUTSIDE = {"kind": "external", "namespace": _SHOP, "name": "database"}
_NOBODY = {"kind": "pod", "namespace": _SHOP, "owner": "Pod", "name": "debug"}
_REFUSED = {**LOADGEN, "name": "junk", "selector": {"app": r"\x1b[31m"}}


@dataclass(frozen=True)
class Connection:
    """A connection between the workload and *peer*, to the receiver's own *port*."""

    direction: Literal["in", "out"]
    peer: Endpoint
    protocol: str
    port: int


def peer_rule(
    direction: str, protocol: str, address: str = "", port: int | None = None, **fields: Any
) -> Rule[PeerValue]:
    """Return the rule for a peer; *fields* are `name` and `identity`."""
    value = PeerValue.model_validate(
        {"direction": direction, "protocol": protocol, "address": address, "port": port} | fields
    )
    return Rule[PeerValue](id=rule_id("peers", value), value=value, evidence=_EVIDENCE)


def listen_rule(protocol: str, address: str, port: int | None) -> Rule[ListenValue]:
    """Return the rule for a socket that listens."""
    value = ListenValue(protocol=protocol, address=address, port=port)
    return Rule[ListenValue](id=rule_id("listens", value), value=value, evidence=_EVIDENCE)


def make_network_baseline(
    *peers: Rule[PeerValue],
    listens: Iterable[Rule[ListenValue]] = (),
    subject: dict[str, Any] | None = None,
    observation: dict[str, Any] | None = None,
) -> Baseline:
    """Return a baseline of `shop-staging/Deployment/checkout` that talks to *peers*."""
    who = {"selector": {"app.kubernetes.io/name": "checkout"}} | (subject or {})
    made = make_baseline("read", subject=who)
    rules = Rules(syscalls=made.rules.syscalls, peers=peers, listens=tuple(listens))
    watched = made.observation.model_copy(update=observation or {})
    return made.model_copy(update={"rules": rules, "observation": watched})


def connections(rule: Rule[PeerValue]) -> Iterator[Connection]:
    """Yield the connections that were seen when *rule* was learnt, as a policy sees them.

    None for what does not leave the pod, and for protocols that policies do not speak of.
    """
    value, who = rule.value, rule.value.identity
    if value.protocol not in _TRANSPORTS or _is_own(value.address):
        return
    protocol = _TRANSPORTS[value.protocol]
    targets = [str(value.port)]
    is_translated = who is not None and value.address not in who.addresses
    if who is not None and value.direction == "out" and is_translated:
        targets = {
            "service": list(who.targets),
            "dns": list(who.targets),
            "apiserver": list(who.targets),
        }.get(who.kind, targets)
    named = {(protocol, name): _NAMED_PORT for name in targets if not name.isdecimal()}
    peers = [Endpoint(address=value.address)] if value.address and not _is_service(rule) else []
    if who is not None:
        if who.selector:
            labels = dict(who.selector)
            if who.kind == "pod":  # the next replica is the same peer
                labels = {key: labels[key] for key in labels.keys() - VOLATILE_LABELS}
            peers.append(Endpoint(namespace=who.namespace, labels=labels, named_ports=named))
        if not value.address or _is_service(rule):
            peers += [Endpoint(address=address) for address in who.addresses]
    for peer in peers:
        for target in targets:
            port = int(target) if target.isdecimal() else _NAMED_PORT
            yield Connection(value.direction, peer, protocol, port)


def _is_service(rule: Rule[PeerValue]) -> bool:
    """Return whether the address is one that is translated before a policy sees it."""
    value, who = rule.value, rule.value.identity
    return (
        who is not None
        and value.direction == "out"
        and who.kind in {"service", "dns", "apiserver"}
        and value.address not in who.addresses
    )


def _is_own(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return parsed.is_loopback or parsed.is_unspecified


# One of every kind, those that a policy cannot say among them.
EVERY_PEER = (
    peer_rule("out", "tcp", port=6379, identity=REDIS),
    peer_rule(
        "out", "tcp", port=80, identity={**REDIS, "name": "web", "targets": ("8080", "http")}
    ),
    peer_rule("out", "tcp", port=5432, identity=DATABASE),
    peer_rule("out", "tcp", port=80, identity={**REDIS, "name": "no-targets", "targets": ()}),
    peer_rule("out", "udp", port=53, identity=_OPENSHIFT_DNS),
    peer_rule("in", "tcp", port=80, identity=LOADGEN),
    peer_rule("in", "tcp", port=80, identity=PROMETHEUS),
    peer_rule("in", "tcp", port=9100, identity=PROMETHEUS),
    peer_rule("in", "sctp", port=3868, identity=LOADGEN),
    peer_rule("in", "tcp", identity=LOADGEN),
    peer_rule("in", "tcp", port=80, identity=_NOBODY),
    peer_rule("in", "tcp", port=80, identity=_REFUSED),
    peer_rule("out", "tcp", "10.96.0.1", 443, identity=API_SERVER),
    peer_rule("out", "tcp", "10.77.0.3", 6443, identity=API_SERVER),
    peer_rule("in", "tcp", "10.77.0.2", 8443, identity=API_SERVER),
    peer_rule("in", "tcp", "10.77.0.1", 80, identity=NODE),
    peer_rule("out", "udp", "10.77.0.1", 53, identity=NODE),
    peer_rule("out", "tcp", "10.20.0.5", 5432, identity=_OUTSIDE),
    peer_rule("out", "udp", "169.254.20.10", 53),
    peer_rule("out", "tcp", "203.0.113.9", 443, name="pay.example.com"),
    peer_rule("out", "tcp", "2001:db8::9", 443, name=r"\x1b]0;junk"),
    peer_rule("out", "udp", "198.51.100.53", 53),
    peer_rule("out", "tcp", "10.9.9.9", 5432, name="db.internal"),
    peer_rule("out", "tcp", "169.254.169.254", 80),
    peer_rule("out", "udp", "224.0.0.251", 5353),
    peer_rule("out", "tcp", "127.0.0.1", 9000),
    peer_rule("in", "tcp", "::1", 9000),
    peer_rule("out", "tcp", "", 4444),
    peer_rule("out", "icmp", "10.9.9.9"),
    peer_rule("out", "protocol-47", "10.9.9.9"),
    peer_rule("out", "unix", "/run/app.sock"),
    peer_rule("out", "netlink", ""),
    peer_rule("out", "packet", ""),
    peer_rule("out", "family-40", ""),
)
