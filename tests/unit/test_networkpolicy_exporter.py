"""The policies that are exported say just what was seen, in words that an API server takes."""

from collections.abc import Sequence
from typing import Any

import pytest

from ethogram.contracts.baseline import Rule
from ethogram.errors import ExportError, UsageError
from tests.networkpolicies import export, losses, one
from tests.peers import (
    API_SERVER,
    DNS,
    LOADGEN,
    NODE,
    REDIS,
    make_network_baseline,
    peer_rule,
)

pytestmark = pytest.mark.unit

BOTH_DNS = [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}]
NODE_LOCAL = {"ipBlock": {"cidr": "169.254.20.10/32"}}


def spec(*peers: Rule[Any], settings: Sequence[str] = ()) -> dict[str, Any]:
    policy, findings = export(make_network_baseline(*peers), settings)
    assert policy is not None
    assert [found for found in findings if found.severity == "loss"] == []
    return policy["spec"]


def test_the_policy_picks_the_pods_by_what_all_of_them_keep() -> None:
    selector = {"app": "checkout", "pod-template-hash": "5d4c"}
    policy, _ = export(make_network_baseline(subject={"selector": selector}))
    assert policy == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "ethogram.deployment.checkout.nginx",
            "namespace": "shop-staging",
            "labels": {"app.kubernetes.io/managed-by": "ethogram"},
            "annotations": {
                "ethogram.dev/workload": "_/shop-staging/Deployment/checkout/nginx/main",
                "ethogram.dev/state": "complete",
                "ethogram.dev/observed": "2 instances, 5 windows",
                "ethogram.dev/losses": "none",
            },
        },
        "spec": {
            "podSelector": {"matchLabels": {"app": "checkout"}},
            "policyTypes": ["Ingress", "Egress"],
        },
    }


def test_who_talks_to_nobody_is_cut_off_and_that_is_said() -> None:
    _, findings = export(make_network_baseline())
    assert one(findings, "cuts the pods off").severity == "warning"


def test_a_service_is_its_pods_and_their_own_port() -> None:
    assert spec(peer_rule("out", "tcp", port=80, identity=REDIS))["egress"] == [
        {
            "to": [{"podSelector": {"matchLabels": {"app": "redis"}}}],
            "ports": [{"protocol": "TCP", "port": 6379}],
        }
    ]


def test_a_service_keeps_every_label_of_its_selector() -> None:
    one_replica = {"statefulset.kubernetes.io/pod-name": "redis-0"}
    rules = spec(peer_rule("out", "tcp", port=80, identity=REDIS | {"selector": one_replica}))
    assert rules["egress"][0]["to"] == [{"podSelector": {"matchLabels": one_replica}}]


def test_a_service_with_hosts_behind_it_is_its_pods_and_their_addresses() -> None:
    mixed = REDIS | {"addresses": ("10.77.0.5",)}
    assert spec(peer_rule("out", "tcp", port=80, identity=mixed))["egress"][0]["to"] == [
        {"podSelector": {"matchLabels": {"app": "redis"}}},
        {"ipBlock": {"cidr": "10.77.0.5/32"}},
    ]


def test_a_service_without_labels_is_its_addresses() -> None:
    outside = {"kind": "service", "namespace": "shop-staging", "name": "db", "targets": ("5432",)}
    outside["addresses"] = ("fd00:20::5", "10.20.0.5")
    assert spec(peer_rule("out", "tcp", port=5432, identity=outside))["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "10.20.0.5/32"}}, {"ipBlock": {"cidr": "fd00:20::5/128"}}],
            "ports": [{"protocol": "TCP", "port": 5432}],
        }
    ]


def test_a_named_target_stays_a_name() -> None:
    named = REDIS | {"targets": ("redis",)}
    ports = spec(peer_rule("out", "tcp", port=80, identity=named))["egress"][0]["ports"]
    assert ports == [{"protocol": "TCP", "port": "redis"}]


def test_another_namespace_is_named_and_the_own_is_not() -> None:
    other = LOADGEN | {"namespace": "monitoring"}
    rules = spec(
        peer_rule("in", "tcp", port=80, identity=LOADGEN),
        peer_rule("in", "tcp", port=80, identity=other),
    )
    pods = {"podSelector": {"matchLabels": {"app": "loadgen"}}}
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    assert rules["ingress"] == [
        {
            "from": [{"namespaceSelector": namespace} | pods, pods],
            "ports": [{"protocol": "TCP", "port": 80}],
        }
    ]


def test_peers_with_the_same_ports_share_a_rule() -> None:
    rules = spec(
        peer_rule("out", "tcp", "203.0.113.9", 443),
        peer_rule("out", "tcp", "203.0.113.10", 443),
        peer_rule("out", "tcp", "203.0.113.10", 443, name="cdn.example.com"),
        peer_rule("out", "tcp", "203.0.113.8", 80),
    )
    assert rules["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "203.0.113.8/32"}}],
            "ports": [{"protocol": "TCP", "port": 80}],
        },
        {
            "to": [
                {"ipBlock": {"cidr": "203.0.113.9/32"}},
                {"ipBlock": {"cidr": "203.0.113.10/32"}},
            ],
            "ports": [{"protocol": "TCP", "port": 443}],
        },
    ]


def test_the_api_server_is_its_endpoints() -> None:
    to = [{"ipBlock": {"cidr": "10.77.0.2/32"}}, {"ipBlock": {"cidr": "10.77.0.3/32"}}]
    by_service = peer_rule("out", "tcp", "10.96.0.1", 443, identity=API_SERVER)
    assert spec(by_service)["egress"] == [{"to": to, "ports": [{"protocol": "TCP", "port": 6443}]}]
    webhook = peer_rule("in", "tcp", "10.77.0.2", 8443, identity=API_SERVER)
    assert spec(webhook)["ingress"] == [{"from": to, "ports": [{"protocol": "TCP", "port": 8443}]}]


def test_an_api_server_without_endpoints_is_a_loss() -> None:
    unknown = API_SERVER | {"addresses": ()}
    [loss] = losses(peer_rule("out", "tcp", "10.96.0.1", 443, identity=unknown))
    assert "addresses are not known" in loss.message


def test_a_node_is_its_address_and_that_may_change() -> None:
    rule = peer_rule("in", "tcp", "10.77.0.1", 80, identity=NODE)
    policy, findings = export(make_network_baseline(rule))
    assert policy["spec"]["ingress"][0]["from"] == [{"ipBlock": {"cidr": "10.77.0.1/32"}}]
    assert one(findings, "addresses of nodes").message.endswith(": 10.77.0.1")
    grouped, findings = export(make_network_baseline(rule), ["group-cidrs=10.77.0.0/24"])
    assert grouped["spec"]["ingress"][0]["from"] == [{"ipBlock": {"cidr": "10.77.0.0/24"}}]
    assert not any("addresses of nodes" in found.message for found in findings)


def test_dns_is_udp_and_tcp_and_the_cache_of_the_node() -> None:
    rules = spec(peer_rule("out", "udp", port=53, identity=DNS))
    [rule] = rules["egress"]
    assert rule["ports"] == BOTH_DNS
    assert rule["to"][1] == NODE_LOCAL


def test_dns_on_another_port_keeps_53_for_the_cache() -> None:
    openshift = DNS | {"targets": ("5353",)}
    resolver, cache = spec(peer_rule("out", "tcp", port=53, identity=openshift))["egress"]
    assert cache == {"to": [NODE_LOCAL], "ports": BOTH_DNS}
    assert [port["port"] for port in resolver["ports"]] == [53, 5353, 53, 5353]


def test_metrics_of_the_resolver_are_no_dns() -> None:
    [rule] = spec(peer_rule("out", "tcp", port=9153, identity=DNS | {"targets": ("9153",)}))[
        "egress"
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9153}]
    assert len(rule["to"]) == 1


def test_a_resolver_outside_gets_both_protocols() -> None:
    assert spec(peer_rule("out", "udp", "198.51.100.53", 53))["egress"] == [
        {"to": [{"ipBlock": {"cidr": "198.51.100.53/32"}}], "ports": BOTH_DNS}
    ]


def test_dns_that_was_not_seen_is_said_and_can_be_had() -> None:
    redis = peer_rule("out", "tcp", port=80, identity=REDIS)
    _, findings = export(make_network_baseline(redis))
    assert "dns=always" in str(one(findings, "no DNS was seen").hint)
    policy, findings = export(make_network_baseline(redis), ["dns=always"])
    assert policy["spec"]["egress"][0] == {
        "to": [
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                },
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            },
            NODE_LOCAL,
        ],
        "ports": BOTH_DNS,
    }
    assert not any("DNS" in found.message for found in findings)


def test_dns_that_was_seen_is_not_added_again() -> None:
    openshift = DNS | {"namespace": "openshift-dns"}
    rule = peer_rule("out", "udp", port=53, identity=openshift)
    assert spec(rule) == spec(rule, settings=["dns=always"])


def test_an_address_outside_will_be_another_ones() -> None:
    rule = peer_rule("out", "tcp", "203.0.113.9", 443, name="pay.example.com")
    policy, findings = export(make_network_baseline(rule))
    annotations = policy["metadata"]["annotations"]
    assert annotations["ethogram.dev/external"] == "203.0.113.9/32=pay.example.com"
    found = one(findings, "somebody else's")
    assert found.severity == "warning"
    assert "203.0.113.9 (pay.example.com)" in found.message


def test_a_private_address_that_nobody_has_is_a_loss() -> None:
    rule = peer_rule("out", "tcp", "10.20.0.5", 5432, name="db.internal")
    [loss] = losses(rule)
    assert loss.subject == rule.id
    assert "`10.20.0.5` (db.internal) port 5432" in loss.message
    assert "external-cidrs=10.20.0.5/32" in str(loss.hint)


def test_external_ranges_allow_the_addresses_that_were_seen() -> None:
    rule = peer_rule("out", "tcp", "10.20.0.5", 5432)
    blocks = spec(rule, settings=["external-cidrs=10.20.0.0/16, fd00::/8"])["egress"][0]["to"]
    assert blocks == [{"ipBlock": {"cidr": "10.20.0.5/32"}}]
    assert losses(rule, settings=["external-cidrs=10.21.0.0/16"])


def test_a_group_allows_all_of_it() -> None:
    rule = peer_rule("out", "tcp", "10.20.0.5", 5432)
    settings = ["group-cidrs=10.20.0.0/24,10.20.0.0/16,10.0.0.4/30"]
    blocks = spec(rule, settings=settings)["egress"][0]["to"]
    assert blocks == [{"ipBlock": {"cidr": "10.20.0.0/16"}}]


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("dns=never", "never"),
        ("dns=", "`dns` is ``"),
        ("external-cidrs=10.20.0.0/99", "10.20.0.0/99"),
        ("external-cidrs=10.20.0.1/16", "host bits"),
        ("group-cidrs=everything", "everything"),
        ("group-cidrs=0.0.0.0/0", "every address"),
        ("external-cidrs=::/0", "every address"),
        ("dns=\x1b[31m", r"\x1b[31m"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(setting: str, word: str) -> None:
    with pytest.raises(UsageError) as error:
        export(make_network_baseline(), [setting])
    assert word in error.value.message
    assert error.value.message.isprintable()


def test_the_same_address_in_two_spellings_is_one_peer() -> None:
    rules = spec(
        peer_rule("out", "tcp", "203.0.113.9", 443),
        peer_rule("out", "tcp", "::ffff:203.0.113.9", 443),
    )
    assert rules["egress"][0]["to"] == [{"ipBlock": {"cidr": "203.0.113.9/32"}}]


def test_a_recorder_that_sees_no_datagrams_gives_no_policy() -> None:
    baseline = make_network_baseline()
    seen = baseline.observation.model_copy(update={"not_observed": ("dns",)})
    with pytest.raises(ExportError, match="without a look at names asked for by DNS"):
        export(baseline.model_copy(update={"observation": seen}))
