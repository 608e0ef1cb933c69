"""Exports CiliumNetworkPolicies for tests, and says what Cilium sees of the peers of a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from ethogram.contracts.baseline import Baseline, PeerValue, Rule
from ethogram.contracts.policy_cilium import Identity
from exporters.cilium import exporter
from exporters.networkpolicy_addresses import is_public, parse_address
from exporters.protocol import Artifact, Finding
from exporters.registry import parse_options
from tests.peers import connections, make_network_baseline

__all__ = ["Meeting", "enforced", "export", "losses", "meetings", "subject_of"]

_ICMP = {"icmp": ("ICMP", 8), "icmpv6": ("ICMPv6", 128)}


@dataclass(frozen=True)
class Meeting:
    """A connection between the workload and *peer*, to the receiver's own *port*."""

    direction: Literal["in", "out"]
    peer: Identity
    protocol: str
    port: int


def export(
    baseline: Baseline, settings: Sequence[str] = (), enforce: bool = True
) -> tuple[Any, list[Finding]]:
    """Return the policy of *baseline*, None where there is none, and its findings."""
    items = list(exporter().export(baseline, parse_options(exporter(), settings, enforce=enforce)))
    policies = [yaml.safe_load(item.content) for item in items if isinstance(item, Artifact)]
    assert len(policies) <= 1
    return (policies or [None])[0], [item for item in items if isinstance(item, Finding)]


def losses(*peers: Rule[Any], settings: Sequence[str] = ()) -> list[Finding]:
    """Return what is lost of *peers*, none of which got a rule."""
    policy, findings = export(make_network_baseline(*peers), settings)
    assert policy is not None
    assert policy["spec"]["ingress"] == [{}]
    assert policy["spec"]["egress"] == [{}]
    return [found for found in findings if found.severity == "loss"]


def enforced(policy: Any) -> Any:
    """Return *policy* as `--enforce` would have it."""
    return policy | {"spec": policy["spec"] | {"enableDefaultDeny": {}}}


def subject_of(policy: Any) -> Identity:
    """Return a pod that *policy* is for."""
    selector = policy["spec"]["endpointSelector"]["matchLabels"]
    return Identity(policy["metadata"]["namespace"], selector)


def meetings(rule: Rule[PeerValue]) -> Iterator[Meeting]:
    """Yield the connections that were seen when *rule* was learnt, by the identities of Cilium.

    A node is the pod's own or another one. What is behind a service and has no labels is outside,
    or where its address is private as well a node.
    """
    value, who = rule.value, rule.value.identity
    if value.protocol in _ICMP:
        protocol, kind = _ICMP[value.protocol]
        as_tcp = rule.model_copy(
            update={"value": value.model_copy(update={"protocol": "tcp", "port": value.port or 1})}
        )
        for it in meetings(as_tcp):
            yield Meeting(it.direction, it.peer, protocol, kind)
        return
    if who is not None and who.kind in ("node", "apiserver") and not who.addresses:
        # Where it is was not known; what it is was.
        who = who.model_copy(update={"addresses": ("192.0.2.77",)})
        value = value.model_copy(update={"identity": who})
        rule = rule.model_copy(update={"value": value})
    names = frozenset({value.name} if value.name and value.direction == "out" else ())
    for it in connections(rule):
        end = it.peer
        if end.namespace is not None:
            peers = [Identity(end.namespace, end.labels, named_ports=end.named_ports)]
        elif who is not None and who.kind == "apiserver":
            peers = [
                Identity(address=end.address, entities=frozenset({place, "kube-apiserver"}))
                for place in ("host", "remote-node")
            ]
        elif who is not None and who.kind == "node":
            peers = _nodes(end.address)
        else:
            peers = [Identity(address=end.address, names=names)]
            is_behind = who is not None and who.kind in ("service", "dns")
            address = parse_address(end.address or "")
            if is_behind and address is not None and not is_public(address):
                peers += _nodes(end.address)
        for peer in peers:
            yield Meeting(it.direction, peer, it.protocol, it.port)


def _nodes(address: str | None) -> list[Identity]:
    return [
        Identity(address=address, entities=frozenset({place})) for place in ("host", "remote-node")
    ]
