"""The reader of NetworkPolicies answers as the specification says."""

from typing import Any

import pytest

from ethogram.contracts.policy_network import Endpoint, allows, connects, selects
from ethogram.errors import ExportError

pytestmark = pytest.mark.unit

CHECKOUT = Endpoint("shop", {"app": "checkout"}, "10.1.0.1", {("TCP", "http"): 8080})
REDIS = Endpoint("shop", {"app": "redis", "tier": "data"}, "10.1.0.2", {("TCP", "redis"): 6379})
PROMETHEUS = Endpoint("monitoring", {"app": "prometheus"}, "10.1.0.3")
OUTSIDE = Endpoint(address="203.0.113.9")


def policy(*, to: Any = None, ports: Any = None, **spec: Any) -> dict[str, Any]:
    """Return a policy of `checkout` with one egress rule, or with *spec* alone."""
    rule = {key: value for key, value in (("to", to), ("ports", ports)) if value is not None}
    return {
        "metadata": {"namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "checkout"}}}
        | (spec or {"policyTypes": ["Egress"], "egress": [rule]}),
    }


def goes_out(found: Any, peer: Endpoint, protocol: str = "TCP", port: int = 6379) -> bool:
    return allows([found], CHECKOUT, peer, direction="out", protocol=protocol, port=port)


def peer(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def test_what_no_policy_picks_may_do_everything() -> None:
    assert goes_out(policy(policyTypes=["Ingress"]), REDIS)
    others = policy(policyTypes=["Egress"]) | {"metadata": {"namespace": "other"}}
    assert goes_out(others, REDIS)
    assert not selects(others, CHECKOUT)


def test_a_listed_type_without_rules_denies() -> None:
    assert not goes_out(policy(policyTypes=["Egress"]), REDIS)
    assert not goes_out(policy(policyTypes=["Egress"], egress=[]), REDIS)


def test_egress_is_inferred_from_its_section_only() -> None:
    assert goes_out(policy(ingress=[]), REDIS)
    assert not goes_out(policy(egress=[{"to": [peer(app="other")]}]), REDIS)
    assert not allows(
        [policy(egress=[{}])], CHECKOUT, REDIS, direction="in", protocol="TCP", port=80
    )


@pytest.mark.parametrize("to", [None, []])
def test_no_list_of_peers_is_every_peer(to: Any) -> None:
    assert goes_out(policy(to=to), OUTSIDE)


@pytest.mark.parametrize("ports", [None, []])
def test_no_list_of_ports_is_every_port(ports: Any) -> None:
    assert goes_out(policy(to=[peer(app="redis")], ports=ports), REDIS, "SCTP", 1)


def test_an_empty_selector_is_every_pod_of_the_own_namespace() -> None:
    everybody = policy(to=[{"podSelector": {}}])
    assert goes_out(everybody, REDIS)
    assert not goes_out(everybody, PROMETHEUS)
    assert not goes_out(everybody, OUTSIDE)


def test_two_selectors_in_one_item_both_count_and_in_two_either() -> None:
    namespace = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    both = policy(to=[namespace | peer(app="prometheus")])
    either = policy(to=[namespace, peer(app="prometheus")])
    assert not goes_out(both, REDIS)
    assert goes_out(either, REDIS)
    assert not goes_out(both, PROMETHEUS)


def test_every_label_counts() -> None:
    assert goes_out(policy(to=[peer(app="redis", tier="data")]), REDIS)
    assert not goes_out(policy(to=[peer(app="redis", tier="cache")]), REDIS)


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["redis"], True),
        ("In", ["web"], False),
        ("NotIn", ["web"], True),
        ("NotIn", ["redis"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_expressions(operator: str, values: list[str], expected: bool) -> None:
    expression = {"key": "app", "operator": operator, "values": values}
    found = policy(to=[{"podSelector": {"matchExpressions": [expression]}}])
    assert goes_out(found, REDIS) is expected


def test_a_block_holds_addresses_but_for_exceptions() -> None:
    found = policy(to=[{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.8/30"]}}])
    assert goes_out(found, Endpoint(address="203.0.113.1"))
    assert not goes_out(found, OUTSIDE)
    assert not goes_out(found, Endpoint(address="2001:db8::1"))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"protocol": "TCP", "port": 6379}, True),
        ({"port": 6379}, True),
        ({"protocol": "UDP", "port": 6379}, False),
        ({"protocol": "TCP"}, True),
        ({"protocol": "TCP", "port": 6000, "endPort": 6400}, True),
        ({"protocol": "TCP", "port": 6000, "endPort": 6378}, False),
        ({"protocol": "TCP", "port": "redis"}, True),
        ({"protocol": "TCP", "port": "http"}, False),
    ],
)
def test_ports(item: dict[str, Any], expected: bool) -> None:
    assert goes_out(policy(to=[peer(app="redis")], ports=[item]), REDIS) is expected


def test_a_named_port_of_ingress_is_the_pods_own() -> None:
    rule = {"from": [peer(app="redis")], "ports": [{"protocol": "TCP", "port": "http"}]}
    found = policy(policyTypes=["Ingress"], ingress=[rule])
    assert allows([found], CHECKOUT, REDIS, direction="in", protocol="TCP", port=8080)
    assert not allows([found], CHECKOUT, REDIS, direction="in", protocol="TCP", port=6379)


def test_other_protocols_are_not_restricted() -> None:
    assert goes_out(policy(policyTypes=["Egress"]), REDIS, "ICMP", 0)


def test_policies_add_up() -> None:
    policies = [policy(to=[peer(app="other")]), policy(to=[peer(app="redis")])]
    assert allows(policies, CHECKOUT, REDIS, direction="out", protocol="TCP", port=6379)


def test_a_connection_needs_both_ends() -> None:
    closed = {
        "metadata": {"namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "redis"}}, "policyTypes": ["Ingress"]},
    }
    opened = policy(to=[peer(app="redis")])
    assert connects([opened], CHECKOUT, REDIS, protocol="TCP", port=6379)
    assert not connects([opened, closed], CHECKOUT, REDIS, protocol="TCP", port=6379)


@pytest.mark.parametrize(
    ("found", "match"),
    [
        (policy(to="everybody"), "`to` is no list"),
        (policy(to=[{"ipBlock": {"cidr": "10.0.0.0/99"}}]), "CIDR"),
        (policy(to=[{}]), "a peer without"),
        (policy(to=[peer(app="redis")], ports=[{"port": 1.5}]), "port"),
        (policy(policyTypes=["Egress"], egress=["all"]), "no mapping|no list"),
        (policy() | {"spec": []}, "`spec` is no mapping"),
        (
            policy(to=[{"podSelector": {"matchExpressions": [{"key": "a", "operator": "Has"}]}}]),
            "operator",
        ),
    ],
)
def test_what_is_malformed_is_named(found: Any, match: str) -> None:
    with pytest.raises(ExportError, match=match):
        goes_out(found, REDIS)
