"""Names from an API server: what is listed, watched, lost on the way, refused, and made up for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.oci import Pod, Spec
from ethogram.errors import UsageError
from profiler.cluster.access import Access, in_cluster
from profiler.cluster.client import ClusterError, ReadOnlyClient, RefusedError
from profiler.cluster.kubeconfig import from_kubeconfig
from profiler.cluster.kubelet import KubeletSource, kubelet_access
from profiler.cluster.reflector import Reflector
from profiler.cluster.resources import RESOURCES
from profiler.cluster.source import ClusterSource
from profiler.cluster.store import ClusterStore
from tests.api_server import TOKEN, ApiServer
from tests.e2e.receivers import until
from tests.e2e.recorded import POD, recorded
from tests.hosts import HEX
from tests.unit.test_cluster_store import created, endpoints, service
from tests.unit.test_inventory import NS, REPLICA_SET, pod

pytestmark = pytest.mark.e2e

MANY = 5000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path) as server:
        yield server


@pytest.fixture
def account(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Access:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    return in_cluster(server.account())


@pytest.fixture
def source(account: Access) -> Iterator[ClusterSource]:
    source = ClusterSource(account)
    try:
        yield source
    finally:
        source.close()


def named(number: int, node: str = "node-1") -> dict:
    return created(
        pod(
            f"p-{number}",
            metadata={"uid": f"u-{number}"},
            spec={"nodeName": node},
            status={"podIP": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "podIPs": []},
        )
    )


def test_what_there_is_and_what_comes_is_known(server, source):
    server.put(created(pod()), REPLICA_SET, service(), endpoints("10.0.0.2", pod="checkout"))
    source.start()
    until(lambda: source.store.is_complete)
    assert source.store.pod(NS, pod()["metadata"]["name"]).owner.name == "checkout"
    server.put(named(7))
    until(lambda: source.store.pod_of_uid("u-7"))
    server.delete(named(7))
    until(lambda: source.store.pod(NS, "p-7") is None)
    kinds = {row["kind"] for row in source.store.take_addresses()}
    assert kinds == {"pod", "service"}
    assert source.news() == []


def test_five_thousand_pods_come_in_parts_and_are_listed_once(server, source):
    server.put(*[named(number) for number in range(MANY)])
    source.start()
    until(lambda: source.store.is_complete)
    assert len(source.store.take_addresses()) == MANY
    assert server.requests["Pod list"] == MANY // 250
    assert source.states()["Pod"].lists == 1


def test_a_watch_that_ends_goes_on_where_it_was_without_another_list(server, source):
    source.start()
    until(lambda: source.store.is_complete and server.requests["Pod watch"] == 1)
    server.drop()
    server.put(named(1))
    until(lambda: source.store.pod_of_uid("u-1"))
    assert server.requests["Pod list"] == 1


def test_what_the_server_has_forgotten_is_listed_again_and_what_was_missed_is_made_up_for(
    server, source
):
    server.put(named(1), named(2))
    source.start()
    until(lambda: source.store.is_complete and server.requests["Pod watch"] == 1)
    server.is_down = True
    server.drop()
    server.delete(named(1))
    server.put(named(3))
    server.compact()
    server.is_down = False
    until(lambda: source.store.pod_of_uid("u-3"))
    assert source.store.pod(NS, "p-1") is None
    ended = [row["valid_to"] for row in source.store.take_addresses() if row["name"] == f"{NS}/p-1"]
    assert ended[-1] is not None


def test_a_server_that_is_down_is_said_once_and_asked_until_it_is_up(server, source):
    server.is_down = True
    source.start()
    until(lambda: source.states()["Pod"].trouble)
    (line,) = [one for one in source.news() if " Pod " in one]
    assert line.startswith("the API server does not tell of Pod objects: ")
    assert source.store.lacks == "the API server has not told of the pod"
    server.put(named(1))
    server.is_down = False
    until(lambda: source.store.pod_of_uid("u-1"))
    assert "the API server tells of Pod objects again" in source.news()


def test_what_we_may_not_read_leaves_the_rest(server, source):
    server.put(named(1))
    server.refuses["Node"] = 403
    source.start()
    until(lambda: source.states()["Node"].trouble and source.store.pod_of_uid("u-1"))
    assert source.states()["Node"].trouble == "status 403 for `/api/v1/nodes`: no Node for you"
    assert not source.store.is_complete


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": 7}', b"[" * 100_000])
def test_an_answer_that_is_none_is_said(server, source, body):
    server.garbage["Pod"] = body
    source.start()
    until(lambda: source.states()["Pod"].trouble)
    assert source.states()["Pod"].lists == 0


def test_a_list_that_does_not_go_on_is_given_up(server, account):
    server.garbage["Pod"] = b'{"metadata": {"continue": "x"}, "items": []}'
    client = ReadOnlyClient(account)
    with pytest.raises(ClusterError, match="the list at `/api/v1/pods` does not go on"):
        list(client.list("/api/v1/pods"))
    client.close()


def test_a_part_that_is_too_large_is_asked_for_in_smaller_ones(server, account, monkeypatch):
    one = len(json.dumps(named(1)))
    monkeypatch.setattr("profiler.cluster.client._BODY_BYTES", 100 * one)
    server.put(*[named(number) for number in range(200)])
    client = ReadOnlyClient(account)
    parts = list(client.list("/api/v1/pods"))
    assert sum(len(part["items"]) for part in parts) == 200
    assert [query["limit"] for query in server.queries] == ["250", *["62"] * 4]
    monkeypatch.setattr("profiler.cluster.client._BODY_BYTES", one)
    with pytest.raises(ClusterError, match="an answer of more than 0 MiB"):
        list(client.list("/api/v1/pods"))
    client.close()


def test_what_nobody_thought_of_is_counted_said_and_tried_again(server, account):
    store, client, stop, left = ClusterStore(), ReadOnlyClient(account), threading.Event(), [0, 0]

    def now_ns() -> int:
        if left:
            left.pop()
            raise RuntimeError("no\ntime")
        return 1

    said: list[str | None] = []
    pods = next(one for one in RESOURCES if one.kind == "Pod")
    reflector = Reflector(client, pods, store, query={}, now_ns=now_ns, stop=stop,
                          changed=lambda: said.append(reflector.state.trouble))  # fmt: skip
    server.put(named(1))
    reflector.start()
    try:
        until(lambda: store.pod_of_uid("u-1") and reflector.state.is_listed)
        assert said == ["RuntimeError: no\\x0atime"] * 2 + [None]
        assert reflector.state.errors == 2
    finally:
        stop.set()
        client.close()
        reflector.end()


def test_an_object_that_is_malformed_is_counted_and_said_and_the_others_are_taken(server, source):
    wrong = named(1)
    wrong["spec"]["containers"] = 7
    server.put(wrong, named(2))
    source.start()
    until(lambda: source.store.pod_of_uid("u-2"))
    until(lambda: source.states()["Pod"].malformed)
    assert source.store.pod_of_uid("u-1") is None


def test_the_pods_of_one_node_are_asked_for_where_a_node_is_named(server, account):
    source = ClusterSource(account, node="node-2")
    server.put(named(1), named(2, "node-2"))
    source.start()
    try:
        until(lambda: source.store.is_complete)
        assert source.store.pod_of_uid("u-2")
        assert source.store.pod_of_uid("u-1") is None
        server.put(named(3), named(4, "node-2"))
        until(lambda: source.store.pod_of_uid("u-4"))
        assert source.store.pod_of_uid("u-3") is None
    finally:
        source.close()


def test_it_ends_while_it_waits_and_leaves_no_thread(server, source):
    source.start()
    until(lambda: source.store.is_complete)
    source.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith("cluster ")}


def test_a_token_that_is_replaced_is_read_again(server, account):
    client = ReadOnlyClient(account)
    assert list(client.list("/api/v1/pods"))
    client.close()
    (server.account() / "token").write_text("another\n")
    with pytest.raises(RefusedError, match="status 401"):
        list(ReadOnlyClient(in_cluster(server.ca.parent)).list("/api/v1/pods"))


def test_the_kubelet_is_asked_again_and_again(server):
    source = KubeletSource(
        kubelet_access(f"https://127.0.0.1:{server.port}", server.account()), now_ns=lambda: 1
    )
    server.put(named(1))
    source.start()
    try:
        until(lambda: source.store.pod_of_uid("u-1"))
        server.put(named(2))
        until(lambda: source.store.pod_of_uid("u-2"))
        assert source.store.take_addresses()[0]["source"] == "kubelet"
    finally:
        source.close()


def test_a_kubeconfig_leads_to_the_server(server):
    assert list(ReadOnlyClient(from_kubeconfig(server.kubeconfig())).list("/api/v1/pods"))
    (server.ca.parent / "token").write_text(TOKEN)
    path = server.kubeconfig(tokenFile="token")
    assert list(ReadOnlyClient(from_kubeconfig(path, "here")).list("/api/v1/pods"))


def test_who_has_another_certificate_is_not_believed(server, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with ApiServer(other) as stranger:
        path = server.kubeconfig()
        path.write_text(path.read_text().replace(str(server.port), str(stranger.port)))
        with pytest.raises(ClusterError, match="TLS failed"):
            list(ReadOnlyClient(from_kubeconfig(path)).list("/api/v1/pods"))
        assert not stranger.requests


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"exec": {"command": "aws"}}, "needs a program to be run"),
        ({"username": "admin", "password": "x"}, "no API server takes passwords"),
        ({"tokenFile": "missing"}, None),
        ({"client-certificate-data": "%%%"}, "cannot be read"),
    ],
)
def test_a_user_who_cannot_be_used_is_refused(server, user, words):
    path = server.kubeconfig(**user)
    if words is None:
        with pytest.raises(ClusterError, match="holds no token"):
            list(ReadOnlyClient(from_kubeconfig(path)).list("/api/v1/pods"))
        return
    with pytest.raises(UsageError, match=words):
        from_kubeconfig(path)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("https://", "http://", "no `https://` URL"),
        ("certificate-authority: ca.crt", "insecure-skip-tls-verify: true", "anybody could answer"),
        ("current-context: here", "current-context: there", "has no context `there`"),
        ("ca.crt", "missing.crt", "cannot be read"),
        ("apiVersion", "a: &x [*x]\napiVersion", "malformed"),
        ("clusters:", "clusters: 7\nothers:", "clusters"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused(server, before, after, words):
    path = server.kubeconfig()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UsageError, match=words):
        from_kubeconfig(path)


def test_outside_a_pod_there_is_no_service_account(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="this is no pod"):
        in_cluster()


def test_a_recording_names_what_the_cluster_tells_of_after_it_ended(
    server: ApiServer, busybox_image: Path, tmp_path: Path
) -> None:
    shop = Pod("late-shop", "checkout-5d4f8c7b9d-x2x9z", POD.uid, "nginx", "nginx:1")
    placed = PlacedPod(shop, "checkout", shop.name.rpartition("-")[0], "10.77.0.10", HEX)
    items = inventory("late-shop", [placed])["items"]
    server.is_down = True

    def live() -> None:
        with Container(busybox_image, Spec(["true"], pod=shop)) as container:
            container.start()
            container.wait()
        server.put(*[item for item in items if item["kind"] != "Namespace"])
        server.is_down = False
        known = server.requests
        until(lambda: known["Pod watch"] and known["ReplicaSet watch"] and known["Service watch"])

    given = f"kubeconfig={server.kubeconfig()}"
    # What other containers of this host did may have no name.
    choice = ("--namespace", "late-shop", "--kubernetes", given)
    seen = recorded(tmp_path, live, *choice, may_lose=True)
    names = {(row["kind"], row["name"], row["container"]) for row in seen.workloads.values()}
    assert ("Deployment", "checkout", "nginx") in names
    assert not {kind for kind, *_ in names} - {"Deployment"}
    addresses = seen.rows("addresses")
    assert {row["source"] for row in addresses} == {"apiserver"}
    assert {"pod", "service", "node"} <= {row["kind"] for row in addresses}
