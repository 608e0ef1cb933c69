"""An engine of others reads exported policies as we do: what was seen goes through, and no more."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from ethogram.contracts.baseline import Baseline, Rule
from ethogram.contracts.policy_network import Endpoint, connects
from exporters.networkpolicy import exporter
from exporters.protocol import Artifact, Options
from tests.e2e.analyzer import ANALYZER, Pod, connectivity
from tests.peers import DNS, make_network_baseline, peer_rule

pytestmark = pytest.mark.e2e

SHOP, OTHER = "shop", "monitoring"
CHECKOUT = Pod(SHOP, "checkout-1", {"app": "checkout", "tier": "web"}, "10.1.0.1", {"http": 80})
REDIS = Pod(SHOP, "redis-0", {"app": "redis"}, "10.1.0.2", {"redis": 6379})
LOADGEN = Pod(SHOP, "loadgen", {"app": "loadgen"}, "10.1.0.3", {})
UNRELATED = Pod(SHOP, "unrelated", {"app": "unrelated"}, "10.1.0.4", {})
NAMESAKE = Pod(OTHER, "loadgen", {"app": "loadgen"}, "10.1.0.5", {})
RESOLVER = Pod("kube-system", "coredns", {"k8s-app": "kube-dns"}, "10.1.0.6", {})
PODS = (CHECKOUT, REDIS, LOADGEN, UNRELATED, NAMESAKE, RESOLVER)


@pytest.fixture(autouse=True)
def _analyzer() -> None:
    if not ANALYZER.exists():
        pytest.skip("not installed: network-config-analyzer; `make test` does it")


def name_of(pod: Pod) -> str:
    return f"{pod.namespace}/{pod.name}"


def identity(pod: Pod, kind: str = "pod", *targets: str) -> dict[str, Any]:
    labels = {"app": pod.labels["app"]} if "app" in pod.labels else dict(pod.labels)
    who = {"kind": kind, "namespace": pod.namespace, "name": pod.name, "selector": labels}
    return who | {"owner": "Deployment", "targets": targets}


def baseline_of(pod: Pod, *peers: Rule[Any]) -> Baseline:
    labels = {"app": pod.labels["app"]}
    subject = {"namespace": pod.namespace, "name": pod.name, "selector": labels}
    return make_network_baseline(*peers, subject=subject)


def policy_of(baseline: Baseline) -> bytes:
    [found] = [
        item for item in exporter().export(baseline, Options()) if isinstance(item, Artifact)
    ]
    return found.content


def shop_policies() -> dict[str, bytes]:
    """Return the policies of a shop in which each of three learnt its side of what went on."""
    checkout = baseline_of(
        CHECKOUT,
        peer_rule("in", "tcp", port=80, identity=identity(LOADGEN)),
        # The service's port is not the one that the pod has.
        peer_rule("out", "tcp", port=80, identity=identity(REDIS, "service", "6379")),
        peer_rule("out", "udp", port=53, identity=DNS),
        peer_rule("out", "tcp", "203.0.113.9", 443, name="pay.example.com"),
    )
    redis = baseline_of(REDIS, peer_rule("in", "tcp", port=6379, identity=identity(CHECKOUT)))
    loadgen = baseline_of(
        LOADGEN, peer_rule("out", "tcp", port=80, identity=identity(CHECKOUT, "service", "http"))
    )
    return {
        "checkout": policy_of(checkout),
        "redis": policy_of(redis),
        "loadgen": policy_of(loadgen),
    }


def test_just_what_was_seen_goes_through(tmp_path: Path) -> None:
    found = connectivity(tmp_path, PODS, shop_policies())
    assert found.of("shop/checkout-1", "shop/redis-0", "shop/loadgen") == {
        ("shop/loadgen", "shop/checkout-1"): "{protocols:TCP,dst_ports:80}",
        ("shop/checkout-1", "shop/redis-0"): "{protocols:TCP,dst_ports:6379}",
        ("shop/checkout-1", "kube-system/coredns"): "{protocols:TCP, UDP,dst_ports:53}",
        ("shop/checkout-1", "169.254.20.10"): "{protocols:TCP, UDP,dst_ports:53}",
        ("shop/checkout-1", "203.0.113.9"): "{protocols:TCP,dst_ports:443}",
    }


def test_others_are_left_alone(tmp_path: Path) -> None:
    found = connectivity(tmp_path, PODS, shop_policies())
    assert found.goes("shop/unrelated", "monitoring/loadgen", "TCP", 80)
    assert found.goes("shop/unrelated", "198.51.100.1", "UDP", 123)
    assert not found.goes("shop/unrelated", "shop/redis-0", "TCP", 6379)
    assert not found.goes("monitoring/loadgen", "shop/checkout-1", "TCP", 80)


def test_the_analyzer_answers_as_our_reader_does(tmp_path: Path) -> None:
    """Thirty pods with policies of what each was seen to do by chance, in one cluster."""
    chance = Random(23)
    pods = [
        Pod(
            chance.choice((SHOP, OTHER)),
            f"pod-{number}",
            {"app": f"app-{number % 23}"},
            f"10.1.0.{number + 10}",
            {"http": 8080},
        )
        for number in range(30)
    ]
    peers = [*pods, RESOLVER]
    policies = {
        pod.name: policy_of(baseline_of(pod, *_seen_by_chance(chance, peers))) for pod in pods[:23]
    }
    found = connectivity(tmp_path, peers, policies)
    read = [yaml.safe_load(content) for content in policies.values()]
    outside = ("203.0.113.9", "10.20.0.5", "169.254.20.10")
    ends = {name_of(pod): _end(pod) for pod in peers}
    ends |= {address: Endpoint(address=address) for address in outside}
    answers = {True: 0, False: 0}
    for source in ends:
        for destination in ends:
            if source == destination or (source in outside and destination in outside):
                continue
            for protocol, port in (("TCP", 80), ("TCP", 8080), ("UDP", 53), ("TCP", 53)):
                ours = connects(read, ends[source], ends[destination], protocol=protocol, port=port)
                theirs = found.goes(source, destination, protocol, port)
                assert ours == theirs, (source, destination, protocol, port)
                answers[ours] += 1
    assert min(answers.values()) > 200, answers


def _end(pod: Pod) -> Endpoint:
    named = {("TCP", name): port for name, port in pod.ports.items()}
    return Endpoint(pod.namespace, pod.labels, pod.address, named)


def _seen_by_chance(chance: Random, peers: list[Pod]) -> list[Rule[Any]]:
    rules = [
        peer_rule("in", "tcp", port=80, identity=identity(chance.choice(peers))),
        peer_rule("in", "tcp", port=8080, identity=identity(chance.choice(peers))),
        peer_rule("out", "tcp", port=8080, identity=identity(chance.choice(peers))),
        peer_rule("out", "tcp", port=1, identity=identity(chance.choice(peers), "service", "80")),
        peer_rule("out", "tcp", port=1, identity=identity(chance.choice(peers), "service", "http")),
        peer_rule("out", "tcp", "203.0.113.9", 80),
        peer_rule("in", "tcp", "203.0.113.9", 8080),
        peer_rule("out", "udp", port=53, identity=DNS),
        peer_rule("out", "tcp", "10.20.0.5", 80, identity={"kind": "node", "name": "node-1"}),
    ]
    kept = chance.sample(rules, 5)
    return list({rule.id: rule for rule in kept}.values())
