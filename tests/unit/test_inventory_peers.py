"""From an inventory to the policy: services whose pods are on the network of their nodes."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import Baseline
from ethogram.contracts.recording import Recording
from learner.learn import learn
from learner.summary import summarize
from profiler.identity import Inventory
from tests.networkpolicies import export
from tests.recordings import START_NS, make_recording

pytestmark = pytest.mark.unit

Object = dict[str, Any]

METRICS = "10.96.0.9"
CART = {
    "workload": 1, "kind": "Deployment", "namespace": "shop", "name": "cart", "container": "cart",
    "container_kind": "main", "selector": {"app": "cart"}, "source": "cri", "state": "resolved",
}  # fmt: skip


def thing(kind: str, name: str, *, api: str = "v1", labels: Any = None, **fields: Any) -> Object:
    metadata = {"name": name, "namespace": "ops", "uid": name, "labels": labels or {}}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def node(name: str, address: str) -> Object:
    internal = [{"type": "InternalIP", "address": address}]
    return thing("Node", name, status={"addresses": internal})


def agent(node_name: str, address: str, *, on_host: bool = True) -> Object:
    spec = {"containers": [{"name": "a"}], "nodeName": node_name, "hostNetwork": on_host}
    return thing("Pod", f"agent-{node_name}", labels={"app": "agent"}, spec=spec,
                 status={"phase": "Running", "podIP": address})  # fmt: skip


def service(**spec: Any) -> Object:
    ports = [{"name": "metrics", "port": 80, "targetPort": "metrics", "protocol": "TCP"}]
    own = {"clusterIP": METRICS, "selector": {"app": "agent"}, "ports": ports}
    return thing("Service", "agent", spec=own | spec)


def endpoints(*addresses: str, port: int = 9100) -> Object:
    return thing(
        "EndpointSlice", "agent-x", api="discovery.k8s.io/v1",
        labels={"kubernetes.io/service-name": "agent"}, addressType="IPv4",
        ports=[{"name": "metrics", "port": port, "protocol": "TCP"}],
        endpoints=[{"addresses": [address]} for address in addresses],
    )  # fmt: skip


NODES = (node("one", "192.0.2.1"), node("two", "192.0.2.2"), node("three", "192.0.2.3"))
CLUSTER = (
    *NODES,
    agent("one", "192.0.2.1"),
    agent("two", "192.0.2.2"),
    service(),
    endpoints("192.0.2.2", "192.0.2.1"),
)


def learnt(path: Path, cluster: tuple[Object, ...], *peers: tuple[str, str, int]) -> Baseline:
    """Return what is learnt of a cart that talks to *peers*: direction, address and port."""
    file = path / "inventory.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster}))
    rows = [row.row(valid_from_ns=START_NS) for row in Inventory.load(file).addresses()]
    recording = make_recording(
        path / "recording",
        workloads=[CART],
        instances=[{"instance": 1, "workload": 1, "runtime_id": "run-1"}],
        addresses=rows,
        network=[_row(*peer) for peer in peers],
    )
    (baseline,) = learn(summarize(Recording.open(recording)))
    return baseline


def _row(direction: str, address: str, port: int) -> Object:
    side = {"peer_port": port} if direction == "out" else {"local_port": port}
    return {
        "window": 0, "workload": 1, "instance": 1, "direction": direction, "connections": 1,
        "family": 2, "type": 1, "protocol": 6, "peer_addr": ip_address(address).packed, **side,
    }  # fmt: skip


def test_a_service_on_the_hosts_network_is_the_nodes_that_answer(tmp_path: Path) -> None:
    baseline = learnt(tmp_path, CLUSTER, ("out", METRICS, 80))
    (rule,) = baseline.rules.peers
    assert rule.value.address == ""
    assert (who := rule.value.identity) is not None
    assert (who.kind, who.name, who.selector) == ("service", "agent", {"app": "agent"})
    assert (who.targets, who.addresses) == (("9100",), ("192.0.2.1", "192.0.2.2"))
    policy, _ = export(baseline)
    (allowed,) = (rule for rule in policy["spec"]["egress"] if rule["ports"][0]["port"] == 9100)
    assert [peer["ipBlock"]["cidr"] for peer in allowed["to"] if "ipBlock" in peer] == [
        "192.0.2.1/32",
        "192.0.2.2/32",
    ]
    assert [peer["podSelector"] for peer in allowed["to"] if "podSelector" in peer] == [
        {"matchLabels": {"app": "agent"}}
    ]


def test_pods_on_a_network_of_their_own_are_picked_by_labels_alone(tmp_path: Path) -> None:
    pods = (agent("one", "10.0.0.2", on_host=False), agent("two", "10.0.0.3", on_host=False))
    # One that the list of pods does not have any more is none of the service's either.
    cluster = (*NODES, *pods, service(), endpoints("10.0.0.2", "10.0.0.3", "10.0.0.4"))
    (rule,) = learnt(tmp_path, cluster, ("out", METRICS, 80)).rules.peers
    assert rule.value.identity is not None
    assert (rule.value.identity.addresses, rule.value.identity.targets) == ((), ("9100",))


def test_a_service_without_selector_may_end_at_nodes(tmp_path: Path) -> None:
    cluster = (*NODES, service(selector=None), endpoints("192.0.2.1", "198.51.100.7"))
    (rule,) = learnt(tmp_path, cluster, ("out", METRICS, 80)).rules.peers
    assert rule.value.identity is not None
    assert rule.value.identity.addresses == ("192.0.2.1", "198.51.100.7")


@pytest.mark.parametrize("peer", [("out", "192.0.2.1", 9100), ("in", "192.0.2.1", 8080)])
def test_a_node_stays_the_node_whatever_it_answers_for(
    tmp_path: Path, peer: tuple[str, str, int]
) -> None:
    (rule,) = learnt(tmp_path, CLUSTER, peer).rules.peers
    assert rule.value.identity is not None
    assert (rule.value.identity.kind, rule.value.identity.name) == ("node", "one")
    assert rule.value.address == "192.0.2.1"


def test_a_node_may_be_the_address_of_a_service_and_answer_for_it(tmp_path: Path) -> None:
    outside = service(externalIPs=["192.0.2.1"],
                      ports=[{"name": "metrics", "port": 9100, "protocol": "TCP"}])  # fmt: skip
    cluster = (*NODES, agent("one", "192.0.2.1"), outside, endpoints("192.0.2.1"))
    for address in (METRICS, "192.0.2.1"):
        place = tmp_path / address
        place.mkdir()
        (rule,) = learnt(place, cluster, ("out", address, 9100)).rules.peers
        assert rule.value.identity is not None
        assert (rule.value.identity.kind, rule.value.identity.addresses) == (
            "service",
            ("192.0.2.1",),
        )
