"""What has no address in any object: NodeLocal DNS, names outside; and labels of namespaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ethogram.contracts.baseline import PeerIdentity
from profiler.identity.kubernetes import PodObject
from tests.networkpolicies import export
from tests.peers import make_network_baseline, peer_rule
from tests.unit.test_cluster_store import NOW, Told, created, service
from tests.unit.test_inventory import NS, owned_by, pod
from tests.unit.test_learner_peers import to, who
from tests.unit.test_registry_cluster import Node

pytestmark = pytest.mark.unit

LOCAL = "169.254.20.10"


@pytest.fixture
def told() -> Told:
    return Told()


def cache(*args: str, namespace: str = "kube-system", **spec: Any) -> dict[str, Any]:
    """Return a pod of NodeLocal DNSCache as it is deployed on each node."""
    container = {"name": "node-cache", "image": "k8s-dns-node-cache:1.26.4", "args": list(args)}
    return created(
        pod(
            "node-local-dns-7x2bq",
            metadata={"namespace": namespace, "ownerReferences": owned_by("DaemonSet", "cache")},
            spec={"hostNetwork": True, "containers": [container], **spec},
            status={"podIP": "192.0.2.1", "podIPs": []},
        ),
        startTime="2026-11-01T10:00:00Z",
    )


def rows_of(told: Told, kind: str) -> list[dict[str, Any]]:
    return [row for row in told.store.take_addresses() if row["kind"] == kind]


@pytest.mark.parametrize(
    "args",
    [
        ("-localip", f"{LOCAL},10.96.0.10", "-conf", "/etc/Corefile"),
        ("-conf", "/etc/Corefile", f"--localip={LOCAL}"),
    ],
)
def test_node_local_dns_is_a_resolver_on_every_node(
    told: Told, args: tuple[str, ...], tmp_path: Path
) -> None:
    told.put(cache(*args))
    rows = rows_of(told, "dns")
    asked = to(LOCAL, 53, type=2, protocol=17)
    # As the journal has them, with times within the recording.
    times = {"valid_from": 0, "valid_to": None}
    assert who(tmp_path, asked, *[row | times for row in rows]) == PeerIdentity(
        kind="dns", namespace="kube-system", name="cache", targets=("53",), addresses=(LOCAL,)
    )


def test_a_policy_lets_a_workload_ask_the_cache_wherever_it_listens() -> None:
    cached = {"kind": "dns", "namespace": "kube-system", "name": "cache", "targets": ("53",),
              "addresses": ("169.254.25.10",)}  # fmt: skip
    policy, findings = export(make_network_baseline(peer_rule("out", "udp", port=53,
                                                              identity=cached)))  # fmt: skip
    assert policy is not None
    assert not [one for one in findings if one.severity == "loss"]
    asked = [{"protocol": "TCP", "port": 53}, {"protocol": "UDP", "port": 53}]
    blocks = [
        (peer["ipBlock"]["cidr"], rule["ports"])
        for rule in policy["spec"]["egress"] for peer in rule["to"]
    ]  # fmt: skip
    assert ("169.254.25.10/32", asked) in blocks


def test_the_node_that_runs_the_cache_stays_a_node(told: Told) -> None:
    told.put(cache("-localip", LOCAL))
    assert [row["name"] for row in rows_of(told, "node")] == ["node-1"]
    told.delete(cache("-localip", LOCAL))
    assert all(until is not None for *_, until in told.addresses())


@pytest.mark.parametrize(
    "item",
    [
        cache("-localip", LOCAL, namespace="shop"),
        cache("-localip", LOCAL, hostNetwork=False),
        cache("-localip", "example.org"),
        cache("-localip"),
        cache("-conf", LOCAL),
    ],
)
def test_not_everybody_may_say_that_an_address_is_the_resolver_s(
    told: Told, item: dict[str, Any]
) -> None:
    told.put(item)
    assert rows_of(told, "dns") == []


def test_no_other_argument_of_a_container_is_kept() -> None:
    item = PodObject.model_validate(cache("--password=hunter2", "-localip", f"{LOCAL},secret"))
    text = item.model_dump_json(by_alias=True, exclude_defaults=True)
    assert "hunter2" not in text
    assert "secret" not in text
    assert PodObject.model_validate_json(text).spec == item.spec


# --- names outside --------------------------------------------------------------------------------


def outside(name: str = "db.example.com") -> dict[str, Any]:
    spec = {"type": "ExternalName", "externalName": name, "clusterIP": None, "selector": None}
    return service("db", **spec, ports=None)


QNAME = f"db.{NS}.svc.cluster.local".encode()
ONE, OTHER = bytes([198, 51, 100, 9]), bytes([198, 51, 100, 10])
RESOLVER = bytes([10, 96, 0, 10])


def resolver() -> dict[str, Any]:
    made = service("kube-dns", clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"])
    return made | {"metadata": made["metadata"] | {"namespace": "kube-system"}}


def answered(told: Told, qname: bytes, answers: list[bytes], now_ns: int) -> None:
    told.store.resolved(RESOLVER, qname, answers, now_ns)


def test_the_addresses_of_a_name_outside_are_the_service_s_that_stands_for_it(
    told: Told, tmp_path: Path
) -> None:
    told.put(resolver(), outside())
    version = told.store.version
    answered(told, QNAME, [ONE], NOW + 5)
    assert told.store.version > version
    (row,) = rows_of(told, "external")
    assert (row["addr"], row["name"], row["valid_from"]) == (ONE, f"{NS}/db", NOW + 5)
    assert who(tmp_path, to("198.51.100.9", 5432), row | {"valid_from": 0}) == PeerIdentity(
        kind="external", namespace=NS, name="db"
    )


def test_what_was_answered_before_stays_its_until_it_stands_for_another_name(told: Told) -> None:
    told.put(resolver(), outside())
    answered(told, QNAME, [ONE], NOW)
    answered(told, QNAME, [OTHER], NOW + 1)
    assert [row[2:] for row in told.addresses() if row[0] == "external"] == [
        (NOW, None),
        (NOW + 1, None),
    ]
    told.now += 9
    told.put(outside("other.example.com"))
    assert [row[2:] for row in told.addresses() if row[0] == "external"] == [
        (NOW, NOW + 9),
        (NOW + 1, NOW + 9),
    ]


def test_a_name_that_never_has_an_address_twice_takes_no_more_room_than_some(told: Told) -> None:
    told.put(resolver(), outside())
    for number in range(100):
        answered(told, QNAME, [bytes([198, 51, 100, number])], NOW + number)
    assert len([row for row in told.addresses() if row[0] == "external" and row[3] is None]) == 64


@pytest.mark.parametrize(
    "qname",
    [b"db.example.com", b"db", f"db.{NS}".encode(), f"other.{NS}.svc".encode(), b"\xff.\xff.svc"],
)
def test_what_is_no_service_of_the_cluster_stays_an_address(told: Told, qname: bytes) -> None:
    told.put(resolver(), outside(), service())
    answered(told, qname, [ONE], NOW)
    answered(told, f"checkout.{NS}.svc.cluster.local".encode(), [ONE], NOW)
    assert rows_of(told, "external") == []


def test_another_name_of_a_service_is_that_service(told: Told) -> None:
    told.put(resolver(), outside("checkout.shop.svc.cluster.local"))
    answered(told, QNAME, [ONE], NOW)
    assert rows_of(told, "external") == []


def test_another_resolver_than_the_clusters_names_nothing(told: Told) -> None:
    told.put(outside(), resolver())
    told.store.resolved(bytes([127, 0, 0, 1]), QNAME, [ONE], NOW)
    assert rows_of(told, "external") == []
    told.store.resolved(RESOLVER, QNAME, [ONE], NOW)
    assert [row["addr"] for row in rows_of(told, "external")] == [ONE]


# --- namespaces -----------------------------------------------------------------------------------


def namespace(**labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS, "labels": labels}}


def test_workloads_have_the_labels_of_their_namespace_whenever_these_are_told(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path)
    node.start()
    labels = node.registry.changed_workloads()["namespace_labels"]
    assert labels == [None]
    node.told.put(namespace(team="a"))
    node.registry.resolve_again(node.told.store.take_namespaces())
    assert node.registry.changed_workloads()["namespace_labels"] == [{"team": "a"}]
    node.told.put(namespace(team="a"))
    node.registry.resolve_again(node.told.store.take_namespaces())
    assert node.registry.changed_workloads()["workload"] == []
    node.told.delete(namespace(team="a"))
    assert node.told.store.namespace_labels(NS) is None
