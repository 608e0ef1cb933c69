"""Policies for Cilium of any baseline allow what was seen, and nothing else but what the docs say.

The laws of `networkpolicy`'s test, by the identities that Cilium has for peers.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.baseline import Baseline, Rule
from ethogram.contracts.cilium_labels import identity_labels
from ethogram.contracts.policy_cilium import Identity, allows
from exporters.cilium import exporter
from exporters.cilium_model import CiliumNetworkPolicy
from exporters.protocol import Options
from tests.ciliumpolicies import Meeting, enforced, export, meetings
from tests.peers import make_network_baseline, peer_rule
from tests.property.test_networkpolicy_allows_what_was_seen import baseline_of, rules

pytestmark = pytest.mark.property

TRIED = (53, 80, 5353, 9999, 1)
NODE_LOCAL = "169.254.20.10"
NODES = [Identity(entities=frozenset({name})) for name in ("host", "remote-node")]
API_SERVER = Identity(entities=frozenset({"kube-apiserver"}))
POD = Identity("shop-staging", {"app.kubernetes.io/name": "checkout"})


@st.composite
def with_names(draw: st.DrawFn) -> Rule[Any]:
    """Return a rule as the other test makes it, or for a peer that was looked up by name."""
    rule = draw(rules())
    if rule.value.identity is not None or rule.value.direction == "in":
        return rule
    name = draw(st.sampled_from([None, "a.example", "B.example.", r"\x1b.example"]))
    value = rule.value
    return peer_rule("out", value.protocol, value.address, value.port, name=name)


baselines = st.lists(with_names(), max_size=8).map(baseline_of)


def is_allowed(policy: Any, it: Meeting) -> bool:
    return allows(
        [policy], POD, it.peer, direction=it.direction, protocol=it.protocol, port=it.port
    )


def seen(rule: Rule[Any]) -> list[Meeting]:
    return [it for it in meetings(rule) if 1 <= it.port <= 65535]


@settings(max_examples=60)
@given(baselines)
def test_every_peer_is_allowed_or_named(baseline: Baseline) -> None:
    policy, findings = export(baseline)
    named = {found.subject for found in findings}
    CiliumNetworkPolicy.model_validate(policy)
    for rule in baseline.rules.peers:
        if rule.id not in named:
            assert all(is_allowed(policy, it) for it in seen(rule)), rule.value


@settings(max_examples=40)
@given(baselines, baselines)
def test_nothing_is_allowed_that_was_not_seen(baseline: Baseline, other: Baseline) -> None:
    policy, findings = export(baseline)
    lost = {found.subject for found in findings if found.severity == "loss"}
    known = [it for rule in baseline.rules.peers if rule.id not in lost for it in seen(rule)]
    peers = [peer for it in known for peer in (it.peer, *neighbours(it.peer))]
    peers += [it.peer for rule in other.rules.peers for it in seen(rule)]
    ways = (("TCP", TRIED), ("UDP", TRIED), ("ICMP", (8, 5)))
    for way, peer, (protocol, ports) in product(("in", "out"), [*peers, *NODES, API_SERVER], ways):
        for port in ports:
            it = Meeting(way, peer, protocol, port)
            if is_allowed(policy, it):
                assert any(explains(observed, it) for observed in known) or is_documented(
                    baseline, it
                ), it


def neighbours(peer: Identity) -> Iterable[Identity]:
    """Yield ends that differ from *peer* in one thing."""
    if peer.namespace:
        yield replace(peer, namespace="elsewhere")
        yield replace(peer, labels={})
        yield replace(peer, labels={"app": "somebody"})
        # A pod has an address, and no block is for it.
        yield replace(peer, labels={"app": "somebody"}, address="203.0.113.1")
    if peer.entities or peer.is_world:
        yield Identity("shop-staging", {"app": "somebody"}, peer.address)
    yield Identity(address="203.0.113.99", names=frozenset({"c.example"}))


def explains(observed: Meeting, it: Meeting) -> bool:
    """Return whether *it* is the connection that was *observed*, or one of the same peer's."""
    is_dns = it.direction == "out" and 53 in (observed.port, it.port)
    is_same_protocol = observed.protocol == it.protocol or (
        {observed.protocol, it.protocol} == {"TCP", "UDP"}
        and (is_dns or observed.port in (5353, 8080, 80, 443, 9999))
        and it.direction == "out"
    )
    is_same_port = observed.port == it.port or observed.peer.named_ports.values() == [it.port]
    return (
        observed.direction == it.direction
        and is_same_protocol
        and is_same_port
        and is_same_peer(observed.peer, it.peer)
    )


def is_same_peer(observed: Identity, peer: Identity) -> bool:
    if observed.namespace is not None:
        labels = identity_labels(observed.labels).items()
        return observed.namespace == peer.namespace and labels <= peer.labels.items()
    if peer.namespace is not None:
        return False
    if observed.entities or peer.entities:
        return bool(observed.entities & peer.entities)
    return observed.address == peer.address or bool(observed.names & peer.names)


def is_documented(baseline: Baseline, it: Meeting) -> bool:
    """Return whether *it* comes with what was seen: see "What it allows beyond" in the docs."""
    values = [rule.value for rule in baseline.rules.peers]
    if it.direction == "out" and it.port == 53 and it.protocol in ("TCP", "UDP"):
        resolvers = [value for value in values if value.direction == "out" and value.port == 53]
        has_names = any(value.name for value in values)
        if "host" in it.peer.entities or it.peer.address == NODE_LOCAL:
            return bool(resolvers) or has_names
        return any(
            value.identity is not None
            and value.identity.kind == "dns"
            and (
                it.peer.address in value.identity.addresses
                or (it.peer.entities & {"remote-node"} and value.identity.addresses)
                or (
                    it.peer.namespace == value.identity.namespace
                    and identity_labels(value.identity.selector).items() <= it.peer.labels.items()
                )
            )
            for value in resolvers
        )
    # What came from the API server may come from any node.
    return it.direction == "in" and bool(it.peer.entities) and any(
        value.direction == "in"
        and value.identity is not None
        and value.identity.kind == "apiserver"
        and (value.port == it.port or value.protocol == "icmp")
        for value in values
    )  # fmt: skip


@settings(max_examples=30)
@given(st.lists(with_names(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_show(found: list[Rule[Any]], chance: Any) -> None:
    baseline = baseline_of(found)
    shuffled = list(baseline.rules.peers)
    chance.shuffle(shuffled)
    turned = make_network_baseline(*shuffled)
    assert list(exporter().export(turned, Options())) == list(
        exporter().export(baseline, Options())
    )


@settings(max_examples=20)
@given(baselines)
def test_without_enforcement_nothing_is_denied_and_the_same_is_written(baseline: Baseline) -> None:
    softly, _ = export(baseline, enforce=False)
    strictly, _ = export(baseline)
    assert enforced(softly) == enforced(strictly)
    for it in (it for peer in [*NODES, Identity(address="203.0.113.99")] for it in tries(peer)):
        assert is_allowed(softly, it)


def tries(peer: Identity) -> Iterable[Meeting]:
    yield from (Meeting(way, peer, "TCP", 80) for way in ("in", "out"))
