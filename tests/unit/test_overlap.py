"""A policy by labels is for every pod that has them: whose that is besides is said."""

import pytest

from exporters.admission import exporter as admission
from exporters.networkpolicy import exporter as networkpolicy
from exporters.overlap import overlap
from exporters.protocol import Comparing
from exporters.seccomp import exporter as seccomp
from tests.peers import LOADGEN, make_network_baseline, peer_rule

pytestmark = pytest.mark.unit

CHECKOUT = {"name": "checkout", "selector": {"app": "checkout", "pod-template-hash": "5d4c"}}


def picked(*others, **checkout) -> list[str]:
    baseline = make_network_baseline(subject=CHECKOUT | checkout)
    return [finding.message for finding in overlap(baseline, [baseline, *others])]


def other(**subject):
    return make_network_baseline(subject={"name": "canary", **subject})


def test_the_own_containers_and_replicas_are_nobody_else() -> None:
    assert picked(other(name="checkout", container="envoy", selector={"app": "checkout"})) == []


@pytest.mark.parametrize(
    ("subject", "is_picked"),
    [
        ({"selector": {"app": "checkout", "track": "canary"}}, True),
        ({"selector": {"app": "checkout"}, "name": "checkout", "kind": "StatefulSet"}, True),
        ({"selector": {"track": "canary"}}, False),
        ({"selector": {"app": "canary"}}, False),
        ({"selector": {}}, False),
        ({"selector": {"app": "checkout"}, "namespace": "other"}, False),
    ],
)
def test_labels_that_another_has_besides_its_own_pick_it_too(subject, is_picked) -> None:
    assert bool(picked(other(**subject))) == is_picked


def test_peers_are_known_too() -> None:
    canary = LOADGEN | {"name": "canary", "selector": {"app": "checkout", "track": "canary"}}
    talks = make_network_baseline(
        peer_rule("in", "tcp", port=80, identity=canary), subject=CHECKOUT
    )
    [finding] = overlap(talks, [])
    assert finding.severity == "warning"
    assert "(app=checkout) pick the pods of Deployment `canary` as well" in finding.message


def test_a_workload_without_labels_picks_nobody() -> None:
    assert picked(other(selector={"app": "checkout"}), selector={"job-name": "x"}) == []


def test_who_picks_pods_by_labels_compares() -> None:
    assert isinstance(networkpolicy(), Comparing)
    assert isinstance(admission(), Comparing)
    assert not isinstance(seccomp(), Comparing)
