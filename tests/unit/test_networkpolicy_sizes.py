"""Ranges of ports, policies in parts, and what an API server refuses beyond its schema."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from ethogram.contracts.policy_network import Endpoint, allows
from ethogram.errors import ExportError
from exporters.kubernetes_objects import check_object
from exporters.kubernetes_parts import MOST_BYTES, parts_of
from exporters.networkpolicy import exporter
from exporters.networkpolicy_model import NetworkPolicy
from exporters.networkpolicy_ports import ranges_of
from exporters.protocol import Artifact, Options
from tests.networkpolicies import export, one
from tests.peers import EVERY_PEER, make_network_baseline, peer_rule

pytestmark = pytest.mark.unit

POD = Endpoint("shop-staging", {"app.kubernetes.io/name": "checkout"})


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([1, 2, 3], [(1, 3)]),
        ([3, 1, 2, 2], [(1, 3)]),
        ([1, 2], [(1, None), (2, None)]),
        ([1, 2, 4, 5], [(1, None), (2, None), (4, None), (5, None)]),
        ([1, 2, 3, 5, 6, 7, 9], [(1, 3), (5, 7), (9, None)]),
        ([65533, 65534, 65535], [(65533, 65535)]),
        ([1, 2, 3, "http"], [(1, 3), ("http", None)]),
    ],
)
def test_only_ports_without_a_gap_are_a_range(
    ports: Sequence[int | str], expected: list[Any]
) -> None:
    found = [(first, last) for _, first, last in ranges_of(("TCP", port) for port in ports)]
    assert found == expected


def test_protocols_have_ranges_of_their_own() -> None:
    ports = [("UDP", 1), ("TCP", 2), ("UDP", 3), ("TCP", 1), ("TCP", 3)]
    assert list(ranges_of(ports)) == [("TCP", 1, 3), ("UDP", 1, None), ("UDP", 3, None)]


def test_a_range_is_written_and_said() -> None:
    rules = [peer_rule("out", "tcp", "203.0.113.9", port) for port in (8001, 8002, 8003)]
    policy, findings = export(make_network_baseline(*rules))
    assert policy["spec"]["egress"][0]["ports"] == [
        {"protocol": "TCP", "port": 8001, "endPort": 8003}
    ]
    assert one(findings, "endPort").severity == "info"
    _, findings = export(make_network_baseline(*rules[:2]))
    assert not any("endPort" in found.message for found in findings)


def test_a_policy_that_is_too_large_is_cut_into_parts_that_allow_the_same() -> None:
    seen = [f"203.{at >> 8}.{at & 255}.7" for at in range(6000)]
    rules = [peer_rule("out", "tcp", address, 443) for address in seen]
    rules += [peer_rule("in", "tcp", seen[0], 80)]
    items = list(exporter().export(make_network_baseline(*rules), Options(enforce=True)))
    [artifact] = [item for item in items if isinstance(item, Artifact)]
    parts = list(yaml.load_all(artifact.content, Loader=yaml.CSafeLoader))
    assert len(parts) == 2
    names = [part["metadata"]["name"] for part in parts]
    assert names == [
        "ethogram.deployment.checkout.nginx",
        "ethogram.deployment.checkout.nginx.part-2",
    ]
    assert parts[1]["metadata"]["annotations"]["ethogram.dev/part"] == "2 of 2"
    for part in parts:
        assert part["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert len(json.dumps(part, separators=(",", ":"))) < MOST_BYTES + 4096

    def is_allowed(address: str, port: int = 443) -> bool:
        peer = Endpoint(address=address)
        return allows(parts, POD, peer, direction="out", protocol="TCP", port=port)

    assert all(map(is_allowed, seen[:: len(seen) // 7]))
    assert not is_allowed("203.0.113.8")
    assert not is_allowed(seen[0], 80)
    assert any(not isinstance(item, Artifact) and "cut into 2" in item.message for item in items)
    # Each peer has its reason, in the part where it stands.
    places = [reason.place for reason in artifact.reasons]
    assert sum(place.startswith("NetworkPolicy[2]:spec.egress[") for place in places) > 100
    assert sum(".to[" in place for place in places) == len(seen)


def test_nothing_is_lost_or_doubled_between_parts() -> None:
    rules = [{"to": [f"{at:05}" * 40 for at in range(each)], "ports": [each]} for each in (1, 997)]
    many = {"to": ["one"], "ports": [f"{at:05}" * 40 for at in range(2003)]}
    parts = parts_of({"ingress": rules, "egress": [many]})
    assert len(parts) > 2
    for section, expected in (("ingress", rules), ("egress", [many])):
        found = [rule for part in parts for rule in part.get(section, ())]
        pairs = [(to, port) for rule in found for to in rule["to"] for port in rule["ports"]]
        assert sorted(pairs, key=str) == sorted(
            ((to, port) for rule in expected for to in rule["to"] for port in rule["ports"]),
            key=str,
        )
    assert parts_of({"ingress": [], "egress": []}) == [{}]


RULE: dict[str, Any] = {
    "to": [{"ipBlock": {"cidr": "203.0.113.9/32"}}],
    "ports": [{"protocol": "TCP", "port": 443}],
}
PICKED = {"matchLabels": {"a": "b"}}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("metadata.name", "Checkout"),
        ("metadata.name", "a" * 254),
        ("metadata.namespace", "a.b"),
        ("metadata.namespace", "a" * 64),
        ("metadata.labels", {"a b": "c"}),
        ("metadata.labels", {"a": "c" * 64}),
        ("metadata.annotations", {"a/b/c": "d"}),
        ("metadata.annotations", {"a": "d" * 256 * 1024}),
        ("metadata.more", {}),
        ("spec.podSelector", {}),
        ("spec.podSelector", {"matchLabels": {}}),
        ("spec.podSelector", {"matchLabels": {f"{'a' * 254}/b": "c"}}),
        ("spec.policyTypes", ["Egress"]),
        ("spec.policyTypes", ["Ingress", "egress"]),
        ("spec.egress", []),
        ("spec.egress", [RULE | {"to": []}]),
        ("spec.egress", [RULE | {"ports": []}]),
        ("spec.egress", [{"to": RULE["to"]}]),
        ("spec.egress", [RULE | {"to": [{"podSelector": {}}]}]),
        ("spec.egress", [RULE | {"to": [{}]}]),
        ("spec.egress", [RULE | {"to": [RULE["to"][0] | {"podSelector": PICKED}]}]),
        *(
            ("spec.egress", [RULE | {"to": [{"ipBlock": {"cidr": cidr}}]}])
            for cidr in ("203.0.113.9", "203.0.113.9/24", "::ffff:203.0.113.9/128", "fd00::0/64",
                         "203.0.113.09/32", "fe80::1%eth0/128", "everything")
        ),
        *(
            ("spec.egress", [RULE | {"ports": [port]}])
            for port in ({"port": 443}, {"protocol": "TCP"}, {"protocol": "tcp", "port": 443},
                         {"protocol": "ICMP", "port": 8}, {"protocol": "TCP", "port": 0},
                         {"protocol": "TCP", "port": 65536}, {"protocol": "TCP", "port": "443"},
                         {"protocol": "TCP", "port": "a" * 16}, {"protocol": "TCP", "port": "a--b"},
                         {"protocol": "TCP", "port": True},
                         {"protocol": "TCP", "port": 443, "endPort": 442},
                         {"protocol": "TCP", "port": "http", "endPort": 443})
        ),
    ],
)  # fmt: skip
def test_what_an_api_server_refuses_is_never_written(place: str, value: object) -> None:
    policy, _ = export(make_network_baseline(*EVERY_PEER))
    check_object(NetworkPolicy, policy)
    top, key = place.split(".")
    wrong = policy | {top: policy[top] | {key: value}}
    with pytest.raises(ExportError, match="would refuse the NetworkPolicy") as error:
        check_object(NetworkPolicy, wrong)
    assert error.value.message.isprintable()
