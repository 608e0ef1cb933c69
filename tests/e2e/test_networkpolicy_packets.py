"""Real packets under exported policies: what was seen gets through, and nothing else does."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from demo.network import Network
from ethogram.contracts.baseline import Rule
from exporters.networkpolicy import exporter
from exporters.protocol import Artifact, Options
from tests.e2e.nftables_policy import PlacedPod, enforce
from tests.e2e.reaching import Attempt, echoing, reach
from tests.peers import make_network_baseline, peer_rule

pytestmark = pytest.mark.e2e

SHOP, OTHER = "shop", "kube-system"
PLACES = {
    "checkout": (SHOP, "checkout"),
    "redis": (SHOP, "redis"),
    "loadgen": (SHOP, "loadgen"),
    "unrelated": (SHOP, "unrelated"),
    "resolver": (OTHER, "resolver"),
    "namesake": (OTHER, "loadgen"),
    "outside": ("", ""),
}
PORTS = (
    *(("tcp", 80), ("tcp", 6379), ("tcp", 53), ("udp", 53), ("tcp", 443), ("udp", 443)),
    *(("tcp", port) for port in range(7000, 7005)),
)


@pytest.fixture
def cluster(network: Network) -> Iterator[dict[str, PlacedPod]]:
    """Seven namespaces that answer on every one of `PORTS`."""
    pods = {}
    with ExitStack() as stack:
        for name, (namespace, app) in PLACES.items():
            at = network.attach(name)
            addresses = (at.address, at.address6)
            pods[name] = PlacedPod(namespace, {"app": app, "pod": name}, addresses, at.path)
            stack.enter_context(echoing(at.path, PORTS))
        yield pods


def identity(name: str, kind: str = "pod", *targets: str) -> dict[str, Any]:
    namespace, app = PLACES[name]
    who = {"kind": kind, "namespace": namespace, "name": name, "selector": {"app": app}}
    return who | {"owner": "Deployment", "targets": targets}


def policy_of(name: str, *peers: Rule[Any]) -> Any:
    namespace, app = PLACES[name]
    subject = {"namespace": namespace, "name": name, "selector": {"app": app}}
    [found] = [
        item
        for item in exporter().export(make_network_baseline(*peers, subject=subject), Options())
        if isinstance(item, Artifact)
    ]
    return yaml.safe_load(found.content)


def reached(cluster: dict[str, PlacedPod], source: str, destination: str) -> set[tuple[str, int]]:
    """Return the ports of *destination* that *source* reaches; both families must agree."""
    target = cluster[destination]
    attempts: list[Attempt] = [
        (protocol, address, port) for address in target.addresses for protocol, port in PORTS
    ]
    results = reach(cluster[source].netns, attempts)
    by_family = [
        {(protocol, port) for (protocol, at, port), ok in zip(attempts, results, strict=True)
         if ok and at == address}
        for address in target.addresses
    ]  # fmt: skip
    assert by_family[0] == by_family[1]
    return by_family[0]


def test_without_policies_everybody_reaches_everybody(cluster: dict[str, PlacedPod]) -> None:
    assert reached(cluster, "unrelated", "checkout") == set(PORTS)
    assert reached(cluster, "checkout", "outside") == set(PORTS)


def test_what_was_seen_gets_through_and_nothing_else(cluster: dict[str, PlacedPod]) -> None:
    outside = cluster["outside"].addresses
    policies = [
        policy_of(
            "checkout",
            peer_rule("in", "tcp", port=80, identity=identity("loadgen")),
            # The service is on port 80, its pods are on 6379.
            peer_rule("out", "tcp", port=80, identity=identity("redis", "service", "6379")),
            peer_rule("out", "udp", port=53, identity=identity("resolver", "dns", "53")),
            *(
                peer_rule("out", "tcp", address, 443, identity={"kind": "external", "name": "db"})
                for address in outside
            ),
            # Each was seen: together they are a range, and what is beside it was not seen.
            *(
                peer_rule("out", "tcp", port=port, identity=identity("namesake"))
                for port in (7001, 7002, 7003)
            ),
        ),
        policy_of("redis", peer_rule("in", "tcp", port=6379, identity=identity("checkout"))),
    ]
    for pod in cluster.values():
        enforce(policies, pod, cluster.values())

    seen = {
        ("loadgen", "checkout"): {("tcp", 80)},
        ("checkout", "redis"): {("tcp", 6379)},
        ("checkout", "resolver"): {("tcp", 53), ("udp", 53)},
        ("checkout", "outside"): {("tcp", 443)},
        ("checkout", "namesake"): {("tcp", 7001), ("tcp", 7002), ("tcp", 7003)},
    }
    assert "endPort" in str(policies[0])
    for source, destination in [
        *seen,
        ("checkout", "loadgen"),
        ("redis", "checkout"),
        ("loadgen", "redis"),
        ("redis", "outside"),
        ("outside", "checkout"),
        ("unrelated", "checkout"),
        ("unrelated", "redis"),
        ("namesake", "checkout"),
    ]:
        found = reached(cluster, source, destination)
        assert found == seen.get((source, destination), set()), (source, destination)
    assert reached(cluster, "unrelated", "namesake") == set(PORTS)


def test_an_answer_comes_back_although_no_rule_is_for_it(cluster: dict[str, PlacedPod]) -> None:
    """Policies are about who begins: what `redis` answers needs no egress rule."""
    redis = policy_of("redis", peer_rule("in", "tcp", port=6379, identity=identity("checkout")))
    assert "egress" not in redis["spec"]
    enforce([redis], cluster["redis"], cluster.values())
    assert reached(cluster, "checkout", "redis") == {("tcp", 6379)}
