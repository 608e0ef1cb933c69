"""A pod that the API server tells of late: what it did under another name becomes its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.clock import BootClock
from profiler.identity.resolver import Resolver
from profiler.registry import Registry
from tests.hosts import CRI, HEX, POD_UID, Host
from tests.unit.test_cluster_store import Told, created
from tests.unit.test_inventory import REPLICA_SET, pod
from tests.unit.test_registry import _MNTNS, _cgroup, _slot, _take

pytestmark = pytest.mark.unit

PATH = f"/kubepods/burstable/pod{POD_UID}/{HEX}"


class Node:
    """A node on which one container runs, and whose cluster is asked."""

    def __init__(self, directory: Path) -> None:
        self.host, self.told, self.now = Host(directory), Told(), 0.0
        resolver = Resolver(
            self.host.root, self.told.store, host_name="node", clock=lambda: self.now
        )
        self.registry = Registry(resolver, BootClock(0), choose=lambda *_: "wanted")
        self.registry.host_mntns = 100
        self.cgroup = self.host.cgroup(PATH)

    def start(self) -> None:
        self.host.runc(HEX, cgroup=PATH, annotations=CRI)
        _take(self.registry, _cgroup(1, self.cgroup, PATH), _slot(2, 1, self.cgroup, _MNTNS))
        self.now = 10.0
        self.registry.resolve_pending()

    def workloads(self) -> dict[int, tuple[object, ...]]:
        """Return kind and name of the workloads that are new or renamed, by number."""
        columns = self.registry.changed_workloads()
        names = zip(columns["kind"], columns["name"], strict=True)
        return dict(zip(columns["workload"], names, strict=True))

    def end(self) -> None:
        _take(self.registry, _cgroup(9, self.cgroup, PATH, removed=True))
        (instance,) = self.registry.instances()
        assert self.registry.ended(10) == [instance]
        self.registry.forget(instance)
        self.host.remove(f"{self.host.mount}{PATH}")
        self.host.remove(f"/run/runc/{HEX}")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_container_is_its_pod_s_until_the_cluster_tells_of_the_owner(node: Node) -> None:
    node.start()
    assert node.workloads() == {0: ("Pod", "checkout-5d4f8c7b9d-x2x9z")}
    (instance,) = node.registry.instances()
    assert "the API server has not told of the pod" in instance.identity.reason
    node.told.put(REPLICA_SET, created(pod()))
    node.registry.resolve_again()
    assert node.workloads() == {0: ("Deployment", "checkout")}
    assert instance.identity.runtime == "runc"
    node.registry.resolve_again()
    assert node.workloads() == {}


def test_what_ended_before_the_cluster_told_of_it_gets_its_name_all_the_same(node: Node) -> None:
    node.start()
    node.workloads()
    node.end()
    node.told.delete(REPLICA_SET, created(pod()))
    node.told.put(REPLICA_SET)
    node.registry.resolve_again()
    assert node.workloads() == {0: ("Deployment", "checkout")}


def test_a_pod_that_the_cluster_knows_waits_for_nothing(node: Node) -> None:
    node.told.put(REPLICA_SET, created(pod()))
    node.start()
    assert node.workloads() == {0: ("Deployment", "checkout")}
    (instance,) = node.registry.instances()
    assert not instance.identity.is_provisional


def test_workloads_that_are_over_are_counted_once_by_name(node: Node) -> None:
    node.start()
    node.workloads()
    assert node.registry.workload_count() == 1
    node.end()
    assert node.registry.workload_count() == 1
    node.told.put(REPLICA_SET, created(pod()))
    node.registry.resolve_again()
    assert node.registry.workload_count() == 1
