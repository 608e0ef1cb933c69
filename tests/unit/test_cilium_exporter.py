"""The policies for Cilium say what was seen by what Cilium knows peers by."""

from collections.abc import Sequence
from typing import Any

import pytest

from ethogram.contracts.baseline import DnsValue, Rule, rule_id
from ethogram.errors import ExportError, UsageError
from exporters.cilium_model import CiliumNetworkPolicy
from exporters.kubernetes_objects import check_object
from tests.ciliumpolicies import export, losses
from tests.networkpolicies import one
from tests.peers import (
    API_SERVER,
    DATABASE,
    DNS,
    LOADGEN,
    NODE,
    PROMETHEUS,
    REDIS,
    make_network_baseline,
    peer_rule,
)

pytestmark = pytest.mark.unit

BOTH_DNS = [{"port": "53", "protocol": "TCP"}, {"port": "53", "protocol": "UDP"}]
EVERY_NAME = {"dns": [{"matchPattern": "*"}]}
NODE_LOCAL = [
    {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": name}}
    for name in ("kube-dns", "node-local-dns")
]
PAY = peer_rule("out", "tcp", "203.0.113.9", 443, name="Pay.example.com.")
TO_443 = [{"ports": [{"port": "443", "protocol": "TCP"}]}]


def spec(*peers: Rule[Any], settings: Sequence[str] = (), enforce: bool = True) -> dict[str, Any]:
    policy, findings = export(make_network_baseline(*peers), settings, enforce)
    assert policy is not None
    assert [found for found in findings if found.severity == "loss"] == []
    return policy["spec"]


def test_who_talks_to_nobody_is_cut_off_in_words_that_cilium_does_not_take_for_open() -> None:
    policy, findings = export(make_network_baseline(subject={"selector": {"app": "checkout"}}))
    assert policy["spec"] == {
        "endpointSelector": {"matchLabels": {"app": "checkout"}},
        "enableDefaultDeny": {"ingress": True, "egress": True},
        "ingress": [{}],
        "egress": [{}],
    }
    assert one(findings, "cuts the pods off").severity == "warning"


def test_without_enforcement_it_holds_nobody() -> None:
    softly = spec(PAY, enforce=False)
    assert softly["enableDefaultDeny"] == {"ingress": False, "egress": False}
    assert softly | {"enableDefaultDeny": 0} == spec(PAY) | {"enableDefaultDeny": 0}


def test_a_name_takes_the_place_of_an_address_and_brings_the_proxy() -> None:
    rules = spec(PAY, peer_rule("out", "udp", port=53, identity=DNS))["egress"]
    assert {"toFQDNs": [{"matchName": "pay.example.com"}], "toPorts": TO_443} in rules
    assert {
        "toEndpoints": NODE_LOCAL,
        "toPorts": [{"ports": BOTH_DNS, "rules": EVERY_NAME}],
    } in rules
    dns = [ports for rule in rules for ports in rule["toPorts"] if ports["ports"] == BOTH_DNS]
    assert len(dns) == 3
    assert all(ports["rules"] == EVERY_NAME for ports in dns)


def test_names_bring_the_usual_resolver_where_none_was_seen() -> None:
    policy, findings = export(make_network_baseline(PAY))
    assert policy["spec"]["egress"][0]["toEndpoints"] == NODE_LOCAL
    assert one(findings, "resolver of most clusters").severity == "warning"


def test_without_names_no_proxy_is_asked_for() -> None:
    rules = spec(peer_rule("out", "udp", port=53, identity=DNS))["egress"]
    assert all("rules" not in ports for rule in rules for ports in rule["toPorts"])


@pytest.mark.parametrize("name", ["a b.example", "x" * 256, r"\x1b.example", "*.example"])
def test_what_is_no_name_stays_an_address(name: str) -> None:
    rule = peer_rule("out", "tcp", "203.0.113.9", 443, name=name)
    assert spec(rule)["egress"] == [{"toCIDR": ["203.0.113.9/32"], "toPorts": TO_443}]


def test_who_comes_in_has_no_name() -> None:
    rule = peer_rule("in", "tcp", "203.0.113.9", 443, name="pay.example.com")
    assert spec(rule)["ingress"] == [{"fromCIDR": ["203.0.113.9/32"], "toPorts": TO_443}]


def test_names_can_be_limited_to_those_that_were_asked_for() -> None:
    asked = [
        Rule[DnsValue](id=rule_id("dns", value), value=value, evidence=PAY.evidence)
        for value in (DnsValue(name="redis.shop.svc.cluster.local"), DnsValue(name=r"\xff"))
    ]
    baseline = make_network_baseline(PAY)
    rules = baseline.rules.model_copy(update={"dns": tuple(asked)})
    baseline = baseline.model_copy(update={"rules": rules})
    policy, findings = export(baseline, ["dns-names=observed"])
    [names] = {
        str(ports["rules"]["dns"])
        for rule in policy["spec"]["egress"]
        for ports in rule["toPorts"]
        if "rules" in ports
    }
    assert names == str(
        [{"matchName": "pay.example.com"}, {"matchName": "redis.shop.svc.cluster.local"}]
    )
    assert one(findings, r"\xff").severity == "loss"
    # What denies nothing refuses no name either.
    softly, _ = export(baseline, ["dns-names=observed"], enforce=False)
    assert softly["spec"]["egress"][0]["toPorts"][0]["rules"] == EVERY_NAME


def test_nodes_and_the_api_server_are_entities() -> None:
    found = spec(
        peer_rule("out", "tcp", "10.77.0.1", 1025, identity=NODE),
        peer_rule("out", "tcp", "10.96.0.1", 443, identity=API_SERVER),
        peer_rule("in", "tcp", "10.77.0.2", 8443, identity=API_SERVER),
    )
    assert found["egress"] == [
        {
            "toEntities": ["host", "remote-node"],
            "toPorts": [{"ports": [{"port": "1025", "protocol": "TCP"}]}],
        },
        {
            "toEntities": ["kube-apiserver"],
            "toPorts": [{"ports": [{"port": "6443", "protocol": "TCP"}]}],
        },
    ]
    assert found["ingress"] == [
        {
            "fromEntities": ["host", "kube-apiserver", "remote-node"],
            "toPorts": [{"ports": [{"port": "8443", "protocol": "TCP"}]}],
        }
    ]


def test_a_node_without_an_address_is_a_node_all_the_same() -> None:
    assert spec(peer_rule("out", "tcp", port=10250, identity=NODE))["egress"][0]["toEntities"]


def test_addresses_behind_a_service_are_outside_or_on_nodes() -> None:
    rules = spec(peer_rule("out", "tcp", port=5432, identity=DATABASE))["egress"]
    assert [next(iter(rule.items())) for rule in rules] == [
        ("toEntities", ["host", "remote-node"]),
        ("toCIDR", ["10.20.0.5/32", "fd00:20::5/128"]),
    ]
    public = DATABASE | {"addresses": ("198.51.100.7",)}
    [rule] = spec(peer_rule("out", "tcp", port=5432, identity=public))["egress"]
    assert rule["toCIDR"] == ["198.51.100.7/32"]


def test_pods_are_picked_in_their_namespace_and_the_own_one_goes_unsaid() -> None:
    rules = spec(
        peer_rule("in", "tcp", port=80, identity=LOADGEN),
        peer_rule("in", "tcp", port=80, identity=PROMETHEUS),
    )["ingress"]
    assert rules[0]["fromEndpoints"] == [
        {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "monitoring", "app": "prometheus"}},
        {"matchLabels": {"app": "loadgen"}},
    ]


def test_echo_requests_stand_in_rules_of_their_own() -> None:
    rules = spec(
        peer_rule("out", "icmp", "203.0.113.9"),
        peer_rule("out", "icmpv6", "2001:db8::9"),
        peer_rule("out", "icmp", identity=REDIS),
    )["egress"]
    assert rules == [
        {
            "toEndpoints": [{"matchLabels": {"app": "redis"}}],
            "icmps": [{"fields": [{"family": "IPv4", "type": 8}]}],
        },
        {"toCIDR": ["203.0.113.9/32"], "icmps": [{"fields": [{"family": "IPv4", "type": 8}]}]},
        {"toCIDR": ["2001:db8::9/128"], "icmps": [{"fields": [{"family": "IPv6", "type": 128}]}]},
    ]


def test_other_protocols_are_lost_where_cilium_denies_them() -> None:
    [loss] = losses(peer_rule("out", "protocol-47", "203.0.113.9"))
    assert "Cilium denies `protocol-47`" in loss.message


def test_labels_that_cilium_does_not_see_are_left_out() -> None:
    unseen = "statefulset.kubernetes.io/pod-name"
    both = REDIS | {"selector": {"app": "redis", unseen: "redis-0"}}
    policy, findings = export(
        make_network_baseline(peer_rule("out", "tcp", port=80, identity=both))
    )
    assert policy["spec"]["egress"][0]["toEndpoints"] == [{"matchLabels": {"app": "redis"}}]
    assert one(findings, unseen).severity == "warning"
    [loss] = losses(
        peer_rule("out", "tcp", port=80, identity=REDIS | {"selector": {unseen: "redis-0"}})
    )
    assert unseen in loss.message
    policy, [found] = export(make_network_baseline(subject={"selector": {"kubernetes.io/a": "b"}}))
    assert policy is None
    assert found.severity == "loss"
    policy, findings = export(
        make_network_baseline(subject={"selector": {"kubernetes.io/a": "b", "app": "x"}})
    )
    assert policy["spec"]["endpointSelector"] == {"matchLabels": {"app": "x"}}
    assert one(findings, "kubernetes.io/a").severity == "warning"


def test_no_list_of_ports_is_longer_than_cilium_takes() -> None:
    rules = [peer_rule("out", "tcp", "203.0.113.9", 1000 + 2 * port) for port in range(90)]
    [rule] = spec(*rules)["egress"]
    assert [len(ports["ports"]) for ports in rule["toPorts"]] == [40, 40, 10]
    together = [peer_rule("out", "tcp", "203.0.113.9", 1000 + port) for port in range(90)]
    assert spec(*together)["egress"][0]["toPorts"] == [
        {"ports": [{"port": "1000", "protocol": "TCP", "endPort": 1089}]}
    ]


def test_more_entries_than_a_pods_map_holds_are_said() -> None:
    rules = [
        peer_rule("out", protocol, f"203.0.{host >> 8}.{host & 255}", port)
        for host in range(2100)
        for protocol, port in (("tcp", 80), ("tcp", 443), ("udp", 443), ("udp", 8), ("tcp", 1),
                               ("tcp", 9), ("tcp", 11), ("tcp", 22))
    ]  # fmt: skip
    _, findings = export(make_network_baseline(*rules))
    assert one(findings, "bpf-policy-map-max").message.startswith("16800 pairs")


@pytest.mark.parametrize("setting", ["dns-names=", "dns-names=all", "dns=never"])
def test_a_setting_that_means_nothing_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="setting"):
        export(make_network_baseline(), [setting])


def test_a_group_is_a_block_even_where_a_name_is_known() -> None:
    [rule] = spec(PAY, settings=["group-cidrs=203.0.113.0/24"])["egress"]
    assert rule["toCIDR"] == ["203.0.113.0/24"]


PORT_80 = {"ports": [{"port": "80", "protocol": "TCP"}]}


@pytest.mark.parametrize(
    "rule",
    [
        {"toCIDR": ["203.0.113.9/32"], "toFQDNs": [{"matchName": "a"}], "toPorts": [PORT_80]},
        {"toCIDR": ["203.0.113.9/32"]},
        {"toPorts": [PORT_80]},
        {"toCIDR": [], "toPorts": [PORT_80]},
        {"toCIDR": ["203.0.113.9/24"], "toPorts": [PORT_80]},
        {"toCIDR": ["::ffff:203.0.113.9/128"], "toPorts": [PORT_80]},
        {"toServices": [{}], "toPorts": [PORT_80]},
        {"toEntities": ["everybody"], "toPorts": [PORT_80]},
        {"toEndpoints": [{"matchLabels": {}}], "toPorts": [PORT_80]},
        {"toEndpoints": [{"matchLabels": {"app": "a b"}}], "toPorts": [PORT_80]},
        {"toEntities": ["host"], "toPorts": [{"ports": []}]},
        {"toEntities": ["host"], "toPorts": [{"ports": [{"port": 80, "protocol": "TCP"}]}]},
        {"toEntities": ["host"], "toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}]}]},
        {"toEntities": ["host"], "toPorts": [{"ports": [{"port": "65536", "protocol": "TCP"}]}]},
        {"toEntities": ["host"], "toPorts": [{"ports": [{"port": "80", "protocol": "ICMP"}]}]},
        {"toEntities": ["host"], "toPorts": [{"ports": PORT_80["ports"] * 41}]},
        {
            "toEntities": ["host"],
            "toPorts": [{"ports": [{"port": "53", "protocol": "UDP", "endPort": 55}],
                         "rules": EVERY_NAME}],
        },
        {
            "toEntities": ["host"],
            "toPorts": [PORT_80],
            "icmps": [{"fields": [{"family": "IPv4", "type": 8}]}],
        },
        {"toEntities": ["host"], "icmps": [{"fields": [{"family": "IPv4", "type": 256}]}]},
        {"toFQDNs": [{"matchName": "a b"}], "toPorts": [PORT_80]},
        {"toFQDNs": [{"matchName": "a" * 256}], "toPorts": [PORT_80]},
    ],
)  # fmt: skip
def test_what_cilium_refuses_is_never_written(rule: dict[str, Any]) -> None:
    policy, _ = export(make_network_baseline(PAY))
    check_object(CiliumNetworkPolicy, policy)
    wrong = policy | {"spec": policy["spec"] | {"egress": [rule]}}
    with pytest.raises(ExportError, match="would refuse the CiliumNetworkPolicy"):
        check_object(CiliumNetworkPolicy, wrong)
