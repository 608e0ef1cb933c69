"""How much a policy allows, in figures: beside it, and in what `export` tells programs."""

import json

import pytest

from exporters.network_tightness import network_tightness
from exporters.protocol import Artifact
from exporters.provenance import provenance_artifact, provenance_of
from exporters.registry import find_exporter, parse_options
from tests.baselines import make_baseline
from tests.peers import make_network_baseline, peer_rule

pytestmark = pytest.mark.unit


def told(target, baseline):
    """Return what the file beside the policy of *baseline* says of its tightness."""
    exporter = find_exporter(target)
    items = exporter.export(baseline, parse_options(exporter, [], enforce=True))
    [policy] = [item for item in items if isinstance(item, Artifact)]
    beside = provenance_artifact(policy, baseline, provenance_of(baseline))
    return json.loads(beside.content).get("tightness")


def test_a_profile_is_measured_beside_the_default_of_an_engine():
    found = told("seccomp", make_baseline("read", "mount"))
    assert (found["arch"], found["of"]) == ("x86_64", 373)
    assert 2 < found["calls"] < 100
    assert (found["default"], found["default_calls"]) == ("containers-common 0.50.1", 312)
    more = told("seccomp", make_baseline("read", "mount", "bpf"))
    assert more["calls"] == found["calls"] + 1


@pytest.mark.parametrize("target", ["networkpolicy", "cilium"])
def test_peers_and_ports_are_counted_by_direction(target):
    peers = [peer_rule("out", "tcp", f"203.0.113.{number}", 443) for number in (7, 9)]
    found = told(target, make_network_baseline(*peers))
    none = told(target, make_network_baseline())
    more = {name: count - none[name] for name, count in found.items()}
    assert more.pop("egress_peers") == 2
    assert more.pop("egress_ports") == 1
    assert set(more.values()) == {0}
    assert not any(none.values())


def test_a_range_is_as_many_ports_as_it_has_and_a_block_is_wide():
    ports = [{"protocol": "TCP", "port": 8000, "endPort": 8009}, {"protocol": "TCP", "port": "web"}]
    peers = [{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/8", "10.1.2.3/32", "2001:db8::/64")]
    policy = {"spec": {"ingress": [{"from": peers, "ports": ports}]}}
    again = {"spec": {"ingress": [{"from": peers[:1], "ports": ports[:1]}]}}
    found = network_tightness([policy, again])
    assert {name: count for name, count in found.items() if count} == {
        "ingress_peers": 3, "ingress_ports": 11, "ingress_wide_peers": 2,
    }  # fmt: skip


def test_an_entity_of_cilium_is_wide():
    rule = {"toEntities": ["world"], "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}]}
    found = network_tightness([{"spec": {"egress": [rule, {"toCIDR": ["192.0.2.1/32"]}]}}])
    assert (found["egress_peers"], found["egress_wide_peers"]) == (2, 1)
