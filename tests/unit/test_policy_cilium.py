"""The reader of CiliumNetworkPolicies answers as Cilium's documentation says."""

from typing import Any

import pytest

from ethogram.contracts.policy_cilium import Identity, allows, allows_name, selects
from ethogram.errors import ExportError

pytestmark = pytest.mark.unit

CHECKOUT = Identity("shop", {"app": "checkout", "pod-template-hash": "5d4c"})
REDIS = Identity("shop", {"app": "redis"}, "10.1.0.2", {("TCP", "redis"): 6379})
RESOLVER = Identity("kube-system", {"k8s-app": "kube-dns"}, "10.1.0.3")
OUTSIDE = Identity(address="203.0.113.9", names=frozenset({"pay.example.com"}))
HOST = Identity(address="10.77.0.1", entities=frozenset({"host"}))
API_SERVER = Identity(address="10.77.0.2", entities=frozenset({"remote-node", "kube-apiserver"}))
KUBE_DNS = {
    "matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}
}
DNS_PORT = {"port": "53", "protocol": "UDP"}
ASK_ANY = {
    "toEndpoints": [KUBE_DNS],
    "toPorts": [{"ports": [DNS_PORT], "rules": {"dns": [{"matchPattern": "*"}]}}],
}


def policy(*egress: Any, **spec: Any) -> dict[str, Any]:
    """Return a policy of `checkout` with rules for egress, and what else *spec* says."""
    return {
        "metadata": {"namespace": "shop"},
        "spec": {"endpointSelector": {"matchLabels": {"app": "checkout"}}}
        | ({"egress": list(egress)} if egress else {})
        | spec,
    }


def goes_out(found: Any, peer: Identity, protocol: str = "TCP", port: int = 443) -> bool:
    return allows([found], CHECKOUT, peer, direction="out", protocol=protocol, port=port)


def test_who_is_not_picked_may_do_everything() -> None:
    others = policy({}) | {"metadata": {"namespace": "other"}}
    assert goes_out(others, REDIS)
    assert not selects(others, CHECKOUT)


def test_an_empty_rule_lets_nobody_through_and_no_rules_let_everybody() -> None:
    assert not goes_out(policy({}), REDIS)
    assert goes_out(policy(egress=[], enableDefaultDeny={"egress": True}), REDIS)
    assert goes_out(policy(ingress=[{}]), REDIS)


def test_nobody_is_held_by_a_policy_that_says_so_until_another_one_does() -> None:
    softly = policy({}, enableDefaultDeny={"egress": False})
    assert goes_out(softly, REDIS)
    together = [softly, policy({"toEntities": ["world"]})]
    asked: Any = {"direction": "out", "protocol": "TCP", "port": 443}
    assert allows(together, CHECKOUT, OUTSIDE, **asked)
    assert not allows(together, CHECKOUT, REDIS, **asked)


def test_what_is_denied_stays_denied() -> None:
    found = policy(
        {"toEntities": ["all"]},
        egressDeny=[{"toEndpoints": [{"matchLabels": {"app": "redis"}}]}],
    )
    assert not goes_out(found, REDIS)
    assert goes_out(found, OUTSIDE)


def test_a_selector_is_for_the_own_namespace_unless_it_names_one() -> None:
    assert goes_out(policy({"toEndpoints": [{"matchLabels": {"k8s:app": "redis"}}]}), REDIS)
    assert goes_out(policy({"toEndpoints": [{}]}), REDIS)
    assert not goes_out(policy({"toEndpoints": [{}]}), RESOLVER)
    assert goes_out(policy({"toEndpoints": [KUBE_DNS]}), RESOLVER)


def test_labels_that_make_no_identity_pick_nobody() -> None:
    picks_hash = {"matchLabels": {"pod-template-hash": "5d4c"}}
    found = policy({})
    found["spec"]["endpointSelector"] = picks_hash
    assert not selects(found, CHECKOUT)
    named = policy({})
    named["spec"]["endpointSelector"] = {"matchLabels": {"app.kubernetes.io/name": "x"}}
    assert selects(named, Identity("shop", {"app.kubernetes.io/name": "x"}))


@pytest.mark.parametrize("peer", [REDIS, HOST, API_SERVER])
def test_blocks_and_names_are_for_what_is_outside(peer: Identity) -> None:
    everything = policy({"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["192.0.2.0/24"]}]})
    assert goes_out(everything, OUTSIDE)
    assert not goes_out(everything, Identity(address="192.0.2.1"))
    assert not goes_out(everything, peer)


def test_entities() -> None:
    nodes = policy({"toEntities": ["host", "remote-node"]})
    assert goes_out(nodes, HOST)
    assert goes_out(nodes, API_SERVER)
    assert not goes_out(nodes, OUTSIDE)
    assert not goes_out(policy({"toEntities": ["kube-apiserver"]}), HOST)
    assert goes_out(policy({"toEntities": ["cluster"]}), REDIS)
    with pytest.raises(ExportError, match="somebody"):
        goes_out(policy({"toEntities": ["somebody"]}), HOST)


def test_a_name_is_known_where_the_proxy_sees_it() -> None:
    pay = {"toFQDNs": [{"matchName": "PAY.example.com."}]}
    assert not goes_out(policy(pay), OUTSIDE)
    assert goes_out(policy(pay, ASK_ANY), OUTSIDE)
    assert not goes_out(policy({"toFQDNs": [{"matchName": "a.example"}]}, ASK_ANY), OUTSIDE)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.example.com", True),
        ("*", True),
        ("**.example.com", True),
        ("**.com", True),
        ("*.com", False),
        ("p*.example.com", True),
    ],
)
def test_patterns_of_names(pattern: str, expected: bool) -> None:
    found = policy({"toFQDNs": [{"matchPattern": pattern}]}, ASK_ANY)
    assert goes_out(found, OUTSIDE) is expected


def test_names_that_may_be_asked_for() -> None:
    one = {
        "toEndpoints": [KUBE_DNS],
        "toPorts": [{"ports": [DNS_PORT], "rules": {"dns": [{"matchName": "a.example"}]}}],
    }
    assert allows_name([policy(one)], CHECKOUT, RESOLVER, "a.example")
    assert not allows_name([policy(one)], CHECKOUT, RESOLVER, "b.example")
    assert not allows_name([policy(one)], CHECKOUT, OUTSIDE, "a.example")
    # Without names a rule lets all through, whatever another one says.
    plain = {"toEndpoints": [KUBE_DNS], "toPorts": [{"ports": [DNS_PORT]}]}
    assert allows_name([policy(one, plain)], CHECKOUT, RESOLVER, "b.example")
    assert allows_name([], CHECKOUT, RESOLVER, "b.example")


def test_ports_are_text_ranges_and_names() -> None:
    def to(**port: Any) -> dict[str, Any]:
        return policy({"toEntities": ["all"], "toPorts": [{"ports": [port]}]})

    assert goes_out(to(port="440", endPort=443, protocol="TCP"), OUTSIDE)
    assert not goes_out(to(port="440", endPort=442, protocol="TCP"), OUTSIDE)
    assert not goes_out(to(port="443", protocol="UDP"), OUTSIDE)
    assert goes_out(to(port="443"), OUTSIDE, "UDP")
    assert goes_out(to(port="0", protocol="TCP"), OUTSIDE)
    assert goes_out(to(port="redis", protocol="TCP"), REDIS, port=6379)
    assert not goes_out(to(port="443"), OUTSIDE, "ICMP", 8)
    with pytest.raises(ExportError, match="no text"):
        goes_out(to(port=443), OUTSIDE)


def test_types_of_icmp() -> None:
    found = policy({"toEntities": ["all"], "icmps": [{"fields": [{"type": "EchoRequest"}]}]})
    assert goes_out(found, OUTSIDE, "ICMP", 8)
    assert not goes_out(found, OUTSIDE, "ICMP", 5)
    assert not goes_out(found, OUTSIDE, "ICMPv6", 8)
    assert not goes_out(found, OUTSIDE)


@pytest.mark.parametrize(
    "rule",
    [
        {"toServices": [{"k8sService": {"serviceName": "redis"}}]},
        {"toRequires": [{}]},
        {"toCIDR": ["203.0.113.9/32"], "toEntities": ["world"]},
        {"toCIDR": ["everything"]},
        {"toCIDRSet": [{"cidrGroupRef": "x"}]},
        {"toCIDR": "203.0.113.9/32"},
    ],
)
def test_what_is_not_read_is_no_answer(rule: dict[str, Any]) -> None:
    with pytest.raises(ExportError, match="malformed"):
        goes_out(policy(rule), OUTSIDE)
