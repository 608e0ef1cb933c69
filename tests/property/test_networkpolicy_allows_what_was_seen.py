"""Policies of any baseline allow what was seen, and nothing else but what the docs say."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ethogram.contracts.baseline import Baseline, Rule
from ethogram.contracts.policy_network import Endpoint, allows
from exporters.networkpolicy import exporter
from exporters.protocol import Artifact, Options
from tests.networkpolicies import export
from tests.peers import Connection, connections, make_network_baseline, peer_rule

pytestmark = pytest.mark.property

# Few values, so that what was seen and what is tried often meet, and nearly meet.
ADDRESSES = (
    "10.1.0.1",
    "10.1.0.2",
    "203.0.113.1",
    "203.0.113.2",
    "2001:db8::1",
    "169.254.20.10",
    "127.0.0.1",
    "224.0.0.1",
    "",
    r"\x00",
)
PORTS = (53, 80, 443, 80, 443, None, 0)
PROTOCOLS = ("tcp", "udp", "tcp", "udp", "sctp", "icmp", "unix", "netlink", "protocol-47")
NAMESPACES = ("shop-staging", "other", "shop-staging", "other", None, "Refused")
TARGETS = ((), ("53",), ("5353",), ("8080",), ("8080", "80"), ("web",), ("web", "443"), ("a--b",))
LABELS = (
    {},
    {"app": "web"},
    {"app": "redis"},
    {"app": "web", "tier": "front"},
    {"app": "web", "pod-template-hash": "5d4c"},
    {"pod-template-hash": "5d4c"},
    {"a b": "-"},
)
TRIED = (53, 80, 443, 5353, 8080, 9999, 1)
NODE_LOCAL = "169.254.20.10"
addresses = st.sampled_from(ADDRESSES)
identities = st.none() | st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["pod", "service", "node", "apiserver", "dns", "external"]),
        "namespace": st.sampled_from(NAMESPACES),
        "name": st.sampled_from(["one", "two"]),
        "selector": st.sampled_from(LABELS),
        "targets": st.sampled_from(TARGETS),
        "addresses": st.lists(addresses.filter(bool), max_size=2).map(tuple),
    }
)


@st.composite
def rules(draw: st.DrawFn) -> Rule[Any]:
    who = draw(identities)
    is_moving = who is not None and who["kind"] in {"pod", "service", "dns"}
    if who is not None and who["kind"] in {"pod", "node", "external"}:
        who |= {"targets": (), "addresses": ()}
    if who is not None and who["kind"] in {"node", "external", "apiserver"}:
        who |= {"selector": {}}
    return peer_rule(
        draw(st.sampled_from(["in", "out"])),
        draw(st.sampled_from(PROTOCOLS)),
        "" if is_moving else draw(addresses),
        draw(st.sampled_from(PORTS)),
        identity=who,
    )


def baseline_of(found: Iterable[Rule[Any]]) -> Baseline:
    return make_network_baseline(*{rule.id: rule for rule in found}.values())


baselines = st.lists(rules(), max_size=8).map(baseline_of)
POD = Endpoint("shop-staging", {"app.kubernetes.io/name": "checkout"})


def is_allowed(policy: Any, it: Connection) -> bool:
    return allows(
        [policy], POD, it.peer, direction=it.direction, protocol=it.protocol, port=it.port
    )


def seen(rule: Rule[Any]) -> list[Connection]:
    return [it for it in connections(rule) if 1 <= it.port <= 65535]


@settings(max_examples=100)
@given(baselines)
def test_every_peer_is_allowed_or_named(baseline: Baseline) -> None:
    policy, findings = export(baseline)
    named = {found.subject for found in findings}
    for rule in baseline.rules.peers:
        if rule.id not in named:
            assert all(is_allowed(policy, it) for it in seen(rule)), rule.value


@settings(max_examples=100)
@given(baselines, baselines)
def test_nothing_is_allowed_that_was_not_seen(baseline: Baseline, other: Baseline) -> None:
    policy, findings = export(baseline)
    lost = {found.subject for found in findings if found.severity == "loss"}
    known = [
        (rule, it) for rule in baseline.rules.peers if rule.id not in lost for it in seen(rule)
    ]
    peers = [peer for _, it in known for peer in (it.peer, *neighbours(it.peer))]
    peers += [it.peer for rule in other.rules.peers for it in seen(rule)]
    for way, peer, protocol, port in product(("in", "out"), peers, ("TCP", "UDP"), TRIED):
        it = Connection(way, peer, protocol, port)
        if is_allowed(policy, it):
            is_explained = any(explains(rule, observed, it) for rule, observed in known)
            assert is_explained or is_documented(baseline, it), it


def neighbours(peer: Endpoint) -> Iterable[Endpoint]:
    """Yield ends that differ from *peer* in one thing."""
    if peer.namespace:
        yield replace(peer, namespace="elsewhere")
        yield replace(peer, labels={})
        yield replace(peer, labels={"app": "somebody"})
    yield Endpoint(address="203.0.113.99")
    yield Endpoint("shop-staging", {"app": "somebody"}, "10.1.0.99")


def explains(rule: Rule[Any], observed: Connection, it: Connection) -> bool:
    """Return whether *it* is the connection that was *observed*, or one of the same peer's.

    DNS is one thing over UDP and TCP.
    """
    is_dns = it.direction == "out" and rule.value.port == 53
    is_same_protocol = observed.protocol == it.protocol or (
        is_dns and {observed.protocol, it.protocol} == {"TCP", "UDP"}
    )
    is_same_peer = (
        observed.peer.address is not None and observed.peer.address == it.peer.address
    ) or (
        observed.peer.namespace is not None
        and observed.peer.namespace == it.peer.namespace
        and observed.peer.labels.items() <= it.peer.labels.items()
    )
    is_same_port = observed.port == it.port or dict(observed.peer.named_ports).values() == [it.port]
    return observed.direction == it.direction and is_same_protocol and is_same_peer and is_same_port


def is_documented(baseline: Baseline, it: Connection) -> bool:
    """Return whether *it* comes with what was seen: see "What it allows beyond" in the docs."""
    resolvers = [
        rule.value.identity
        for rule in baseline.rules.peers
        if rule.value.direction == "out" and rule.value.port == 53
    ]
    is_dns = it.direction == "out" and it.protocol in {"TCP", "UDP"}
    if is_dns and it.peer.address == NODE_LOCAL and it.port == 53:
        return any(who is None or who.kind in {"dns", "node"} for who in resolvers)
    if (
        is_dns
        and it.port == 53
        and any(who is not None and who.kind == "dns" and is_of(who, it) for who in resolvers)
    ):
        return True
    return it.direction == "in" and any(
        rule.value.direction == "in"
        and rule.value.port == it.port
        and rule.value.identity is not None
        and rule.value.identity.kind == "apiserver"
        and it.peer.address in rule.value.identity.addresses
        for rule in baseline.rules.peers
    )  # fmt: skip


def is_of(who: Any, it: Connection) -> bool:
    return it.peer.address in who.addresses or (
        it.peer.namespace == who.namespace and who.selector.items() <= it.peer.labels.items()
    )


@given(st.lists(rules(), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_show(found: list[Rule[Any]], chance: Any) -> None:
    baseline = baseline_of(found)
    shuffled = list(baseline.rules.peers)
    chance.shuffle(shuffled)
    turned = make_network_baseline(*shuffled)
    assert list(exporter().export(turned, Options())) == list(
        exporter().export(baseline, Options())
    )


@given(baselines)
def test_no_list_and_no_selector_is_empty(baseline: Baseline) -> None:
    [text] = [
        item.content.decode()
        for item in exporter().export(baseline, Options())
        if isinstance(item, Artifact)
    ]
    assert "{}" not in text
    assert "[]" not in text
    assert yaml.safe_load(text)["spec"]["podSelector"]["matchLabels"]
