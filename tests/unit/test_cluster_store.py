"""What the cluster is known to have: pods by what asks for them, and addresses by time."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from ethogram.contracts.tables import TABLES
from profiler.cluster.access import Access
from profiler.cluster.client import ReadOnlyClient
from profiler.cluster.intervals import Intervals
from profiler.cluster.reflector import Reflector
from profiler.cluster.resources import RESOURCES
from profiler.cluster.store import ClusterStore
from profiler.identity.addresses import Address
from tests.unit.test_inventory import HASH, NS, REPLICA_SET, owned_by, pod

pytestmark = pytest.mark.unit

MODELS = {one.kind: one.model for one in RESOURCES}
CREATED = "2026-11-01T10:00:00Z"
CREATED_NS = 1_793_527_200 * 10**9
NOW = CREATED_NS + 60 * 10**9
POD_IP = bytes([10, 0, 0, 2])


class Told:
    """A store, told as a reflector tells it."""

    def __init__(self) -> None:
        self.store = ClusterStore()
        self.now = NOW
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def put(self, *items: dict[str, Any]) -> None:
        for item in items:
            self.store.put(item["kind"], self._model(item), self.now)

    def delete(self, *items: dict[str, Any]) -> None:
        for item in items:
            self.store.delete(item["kind"], self._model(item), self.now)

    def replace(self, kind: str, items: Iterable[dict[str, Any]] = ()) -> None:
        names = self.store.take_part(kind, [self._model(item) for item in items], self.now)
        self.store.retain(kind, names, self.now)

    def addresses(self) -> list[tuple[str, str, int, int | None]]:
        """Return kind, name and interval of each address, as a reader puts the rows together."""
        for row in self.store.take_addresses():
            has_selector = row["selector"] is None
            key = (row["addr"], row["kind"], row["name"], row["valid_from"], has_selector)
            self.rows[key] = row
        return [
            (row["kind"], row["name"], row["valid_from"], row["valid_to"])
            for row in self.rows.values()
        ]

    @staticmethod
    def _model(item: dict[str, Any]) -> Any:
        return MODELS[item["kind"]].model_validate(item)


@pytest.fixture
def told() -> Told:
    return Told()


def created(item: dict[str, Any], **status: Any) -> dict[str, Any]:
    item["metadata"]["creationTimestamp"] = CREATED
    item.setdefault("status", {}).update(status)
    return item


def service(name: str = "checkout", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NS, "creationTimestamp": CREATED},
        "spec": {
            "clusterIP": "10.96.0.7",
            "selector": {"app": "checkout"},
            "ports": [{"port": 80, "targetPort": "http"}],
            **spec,
        },
    }


def endpoints(*addresses: str, name: str = "checkout", pod: str | None = None) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-abc",
            "namespace": NS,
            "labels": {"kubernetes.io/service-name": name},
            "creationTimestamp": CREATED,
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [one], **target} for one in addresses],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }


def test_a_pod_is_found_by_name_uid_and_container_whatever_came_first(told):
    item = pod(status={"containerStatuses": [{"name": "nginx", "containerID": "containerd://c1"}]})
    told.put(item)
    assert told.store.pod(NS, item["metadata"]["name"]).owner.name == "checkout"
    told.put(REPLICA_SET)
    found = told.store.pod_of_uid(item["metadata"]["uid"])
    assert (found.owner.kind, found.owner.name) == ("Deployment", "checkout")
    assert dict(found.owner.selector) == {"app": "checkout"}
    assert told.store.pod_of_container("c1") == (found, "nginx")


def test_a_pod_that_is_gone_is_still_known_by_its_uid_with_the_owner_that_it_had(told):
    item = pod(status={"containerStatuses": [{"name": "nginx", "containerID": "containerd://c1"}]})
    told.put(REPLICA_SET, item)
    told.delete(item, REPLICA_SET)
    assert told.store.pod(NS, item["metadata"]["name"]) is None
    assert told.store.pod_of_uid(item["metadata"]["uid"]).owner.kind == "Deployment"
    assert told.store.pod_of_container("c1")[1] == "nginx"


def test_so_many_pods_that_are_gone_are_kept_and_no_more(told):
    for number in range(4097):
        status = {"containerStatuses": [{"name": "a", "containerID": f"containerd://c{number}"}]}
        item = pod(metadata={"name": f"p{number}", "uid": f"u{number}"}, status=status)
        told.delete(item)
    assert told.store.pod_of_uid("u0") is None
    assert told.store.pod_of_container("c0") is None
    assert told.store.pod_of_uid("u4096") is not None


def test_an_address_is_a_pod_s_from_its_start_until_it_is_gone(told):
    item = created(pod(), startTime="2026-11-01T10:00:05Z")
    told.put(item)
    (row,) = told.store.take_addresses()
    assert row.keys() == {column.name for column in TABLES["addresses"].columns}
    assert (row["addr"], row["valid_from"]) == (POD_IP, CREATED_NS + 5 * 10**9)
    assert (row["valid_to"], row["source"]) == (None, "apiserver")
    told.now += 7
    told.delete(item)
    (row,) = told.store.take_addresses()
    assert (row["valid_from"], row["valid_to"]) == (CREATED_NS + 5 * 10**9, NOW + 7)


def test_an_address_that_another_pod_gets_is_each_s_in_its_time(told):
    first = created(pod(), startTime=CREATED)
    other = pod(f"cart-{HASH}-k4k4k", metadata={"uid": "other"})
    told.put(first)
    told.now += 10**9
    told.put(created(first, phase="Succeeded"))
    told.now += 10**9
    told.put(created(other, startTime="2026-11-01T10:01:02Z"))
    assert told.addresses() == [
        ("pod", f"{NS}/checkout-{HASH}-x2x9z", CREATED_NS, NOW + 10**9),
        ("pod", f"{NS}/cart-{HASH}-k4k4k", CREATED_NS + 62 * 10**9, None),
    ]


def test_a_pod_that_lived_between_two_windows_leaves_its_interval(told):
    item = created(pod(), startTime=CREATED)
    told.put(item)
    told.delete(item)
    assert told.addresses() == [("pod", f"{NS}/checkout-{HASH}-x2x9z", CREATED_NS, NOW)]


def test_the_namesake_of_a_pod_is_another_pod(told):
    metadata = {"name": "db-0", "ownerReferences": owned_by("StatefulSet", "db")}
    before = created(pod(metadata={**metadata, "uid": "one"}), startTime=CREATED)
    after = created(
        pod(metadata={**metadata, "uid": "two"}, status={"podIP": "10.0.0.3", "podIPs": []}),
        startTime="2026-11-01T10:01:00Z",
    )
    told.put(before, after)
    assert told.store.pod_of_uid("one") is not None
    assert told.store.pod_of_uid("two").name == "db-0"
    assert [row[3] for row in told.addresses()] == [NOW, None]


def test_a_list_takes_away_what_it_does_not_have(told):
    told.put(created(pod(), startTime=CREATED), service())
    told.now += 5
    told.replace("Pod")
    ended = {name: until for _, name, _, until in told.addresses()}
    assert ended == {f"{NS}/checkout-{HASH}-x2x9z": NOW + 5, f"{NS}/checkout": None}


def test_a_service_names_the_port_behind_its_own_as_soon_as_that_is_told(told):
    told.put(service())
    assert told.store.take_addresses()[0]["ports"][0]["target"] == "http"
    told.now += 1
    told.put(endpoints("10.0.0.2", pod="checkout"))
    ended, begun = told.store.take_addresses()
    assert (ended["valid_to"], begun["valid_from"]) == (NOW + 1, NOW + 1)
    assert begun["ports"] == [{"port": 80, "target": "8080", "protocol": "TCP"}]


def test_an_endpoint_of_a_pod_that_is_still_to_come_is_not_outside(told):
    told.put(service(), endpoints("10.0.0.2", pod="checkout"))
    assert [row[0] for row in told.addresses()] == ["service"] * 2  # without, then with ports
    told.put(created(pod(), startTime=CREATED))
    assert {row[0] for row in told.addresses()} == {"service", "pod"}


def test_an_endpoint_without_a_pod_is_outside_until_a_node_has_its_address(told):
    told.put(service(), endpoints("192.0.2.9"))
    assert ("external", f"{NS}/checkout", NOW, None) in told.addresses()
    told.now += 3
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-2", "creationTimestamp": CREATED},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]},
    }
    told.put(node)
    found = told.addresses()
    assert ("external", f"{NS}/checkout", NOW, NOW + 3) in found
    assert ("node", "node-2", CREATED_NS, None) in found
    assert ("service", f"{NS}/checkout", NOW + 3, None) in found


def test_the_api_server_and_the_resolver_are_told_apart(told):
    of_dns = service("kube-dns", clusterIP="10.96.0.10")
    of_dns["metadata"]["namespace"] = "kube-system"
    of_api = service("kubernetes", clusterIP="10.96.0.1", selector=None)
    of_api["metadata"]["namespace"] = "default"
    behind = endpoints("192.0.2.1", name="kubernetes")
    behind["metadata"]["namespace"] = "default"
    told.put(of_dns, of_api, behind)
    assert sorted({row[:2] for row in told.addresses()}) == [
        ("apiserver", "default/kubernetes"),
        ("dns", "kube-system/kube-dns"),
    ]


def test_a_slice_that_changes_its_service_leaves_the_other(told):
    told.put(endpoints("192.0.2.9", name="a"))
    moved = endpoints("192.0.2.9", name="b")
    moved["metadata"]["name"] = "a-abc"
    told.put(moved)
    told.delete(moved)
    assert all(until is not None for *_, until in told.addresses())


def test_what_it_lacks_is_said_of_whom_it_asks():
    store, kubelet = ClusterStore(), ClusterStore("kubelet")
    assert store.lacks == "the API server has not told of the pod"
    store.is_complete = kubelet.is_complete = True
    assert (store.lacks, kubelet.lacks) == (
        "the API server has no such pod",
        "the kubelet has no such pod",
    )


def test_a_row_that_stays_as_it_is_is_not_told_again():
    intervals = Intervals("apiserver")
    row = Address(POD_IP, "pod", "a/b")
    assert intervals.set("a", [row], since_ns=5, now_ns=9) == {POD_IP}
    assert [(one["valid_from"], one["valid_to"]) for one in intervals.take()] == [(5, None)]
    assert intervals.set("a", [row], since_ns=5, now_ns=11) == set()
    assert intervals.take() == []


def test_nothing_is_said_to_have_begun_in_the_future():
    intervals = Intervals("apiserver")
    intervals.set("a", [Address(POD_IP, "pod", "a/b")], since_ns=50, now_ns=9)
    assert intervals.take()[0]["valid_from"] == 9


def test_a_pod_that_crashes_for_months_leaves_no_more_than_its_last_containers() -> None:
    told = Told()
    for number in range(5000):
        status = {"name": "nginx", "containerID": f"containerd://{number:064x}"}
        told.put(pod(status={"containerStatuses": [status]}))
    known = [one for one in range(5000) if told.store.pod_of_container(f"{one:064x}")]
    assert known == list(range(5000 - 4097, 5000))


def test_a_pod_that_comes_back_is_not_forgotten_with_those_that_are_gone() -> None:
    told = Told()
    container = {"name": "nginx", "containerID": f"containerd://{7:064x}"}
    here = pod(status={"containerStatuses": [container]})
    told.put(here)
    told.delete(here)
    told.put(here)
    for number in range(4200):
        told.delete(pod(f"other-{number}", metadata={"uid": f"uid-{number}"}))
    assert told.store.pod_of_container(f"{7:064x}") is not None


def test_a_time_that_no_table_holds_is_none() -> None:
    for number, time in enumerate(("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z")):
        told = Told()
        told.put(pod(f"odd-{number}", status={"startTime": time}))
        assert [row["valid_from"] for row in told.store.take_addresses()] == [NOW]


def test_what_is_wrong_with_an_object_is_said_without_what_a_terminal_obeys() -> None:
    labels = {"\x1b[2J\n" + "x" * 5000: 1}
    told: list[dict[str, Any]] = [{"metadata": {"name": "p", "labels": labels}}]
    client = ReadOnlyClient(Access("https://127.0.0.1:1", ssl.create_default_context()))
    reflector = Reflector(
        client, RESOURCES[0], ClusterStore(), query={}, now_ns=lambda: NOW,
        stop=threading.Event(), changed=lambda: None,
    )  # fmt: skip
    assert reflector.understood(told) == []
    (line,) = reflector.news("the API server")
    assert line.isprintable()
    assert len(line) < 1000
