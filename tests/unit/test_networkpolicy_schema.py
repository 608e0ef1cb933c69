"""Kubernetes' own schemas take the policies, and none holds what they let through by mistake.

The schemas find unknown fields and wrong types, but neither a protocol that does not exist nor a
range out of bounds: those are checked here, as an API server does.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import kubernetes_validate
import pytest

from exporters.kubernetes import is_dns_label, is_label_key, is_label_value, is_subdomain
from tests.networkpolicies import export
from tests.peers import EVERY_PEER, LOADGEN, make_network_baseline, peer_rule

pytestmark = pytest.mark.unit

VERSIONS = ("1.28", "1.31", "1.34")
POLICIES = {
    "every peer": export(make_network_baseline(*EVERY_PEER), ["dns=always"])[0],
    "nobody": export(make_network_baseline())[0],
    "ingress": export(make_network_baseline(peer_rule("in", "tcp", port=80, identity=LOADGEN)))[0],
    "hostile names": export(
        make_network_baseline(*EVERY_PEER, subject={"name": "../`$(x)`\n\x1b[31m", "kind": "{}"})
    )[0],
}
named = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


@named
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_takes_it(policy: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(policy, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_would_have_refused_a_mistake(version: str) -> None:
    policy = POLICIES["every peer"]
    wrong = policy | {"spec": policy["spec"] | {"egres": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


@named
def test_nothing_is_open_by_accident(policy: dict[str, Any]) -> None:
    assert policy["spec"]["podSelector"]["matchLabels"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    for section, side in (("ingress", "from"), ("egress", "to")):
        assert policy["spec"].get(section, "absent") != []
        for rule in policy["spec"].get(section, ()):
            assert rule.keys() == {side, "ports"}
            assert rule[side]
            assert rule["ports"]
    for selector in _found(policy, "podSelector", "namespaceSelector"):
        assert selector["matchLabels"]


@named
def test_it_holds_only_what_an_api_server_takes(policy: dict[str, Any]) -> None:
    assert is_subdomain(policy["metadata"]["name"])
    assert is_dns_label(policy["metadata"]["namespace"])
    assert all(map(is_label_key, policy["metadata"]["annotations"]))
    for labels in _found(policy, "matchLabels", "labels"):
        assert all(is_label_key(key) and is_label_value(labels[key]) for key in labels)
    for cidr in _found(policy, "cidr"):
        assert ip_network(cidr).prefixlen in {32, 128}
    for port in (port for ports in _found(policy, "ports") for port in ports):
        assert port.keys() == {"protocol", "port"}
        assert port["protocol"] in {"TCP", "UDP", "SCTP"}
        number = port["port"]
        if isinstance(number, int):
            assert 1 <= number <= 65535
        else:
            assert re.fullmatch(r"(?=.*[a-z])[a-z0-9-]{1,15}", number)


def _found(node: Any, *keys: str) -> Iterator[Any]:
    """Yield every value below *node* that stands under one of *keys*."""
    if isinstance(node, list):
        for item in node:
            yield from _found(item, *keys)
    if isinstance(node, dict):
        for key, value in node.items():
            if key in keys:
                yield value
            yield from _found(value, *keys)
