"""Which instance a slot belongs to, from records as the kernel side writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import STRUCTS, EventFlag, RecordKind
from ethogram.contracts.tables import ENUMS
from profiler.clock import BootClock
from profiler.identity.inventory import Inventory
from profiler.identity.resolver import GRACE_S, Resolver
from profiler.registry import Registry
from profiler.ring import Records
from tests.hosts import CRI, HEX, POD_UID, Host

pytestmark = pytest.mark.unit

_HOST_MNTNS, _MNTNS = 100, 200
_RUNTIME = ENUMS["phase"].index("runtime")
_OTHER = "0" * 63 + "1"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    resolver = Resolver(Host(tmp_path).root, host_name="node")
    found = Registry(resolver, BootClock(0), choose=lambda *_: "wanted")
    found.host_mntns = _HOST_MNTNS
    return found


def _cgroup(time_ns: int, number: int, path: str, *, removed: bool = False) -> tuple:
    head = np.zeros(1, STRUCTS["cgroup_record"].dtype)
    head["time_ns"], head["cgroup_id"], head["path_size"] = time_ns, number, len(path)
    head["flags"] = EventFlag.REMOVED if removed else 0
    return RecordKind.CGROUP, Records(head, [path.encode()])


def _slot(
    time_ns: int, slot: int, number: int, mntns: int, phase: str = "startup", **fields: int
) -> tuple:
    head = np.zeros(1, STRUCTS["slot_record"].dtype)
    head["time_ns"], head["slot"], head["cgroup_id"] = time_ns, slot, number
    head["mntns"], head["phase"] = mntns, ENUMS["phase"].index(phase)
    head["tgid"] = 1000 + slot
    for name, value in fields.items():
        head[name] = value
    return RecordKind.SLOT, Records(head, [b""])


def _take(registry: Registry, *records: tuple) -> None:
    batches: dict[RecordKind, list[Records]] = {}
    for kind, batch in records:
        batches.setdefault(kind, []).append(batch)
    registry.take(batches, is_live=True)


def test_a_container_that_lives_between_two_polls_has_a_name_and_an_end(
    registry: Registry,
) -> None:
    path = f"/docker/{HEX}"
    life = (_cgroup(1, 7, path), _slot(2, 1, 7, _MNTNS), _cgroup(3, 7, path, removed=True))
    _take(registry, *life)
    _take(registry, *life)  # the end of the window brings them again
    (instance,) = registry.instances()
    assert (instance.path, instance.ended_ns) == (path, 3)


def test_a_container_s_id_is_known_while_it_is_there(registry: Registry) -> None:
    _take(registry, _cgroup(1, 7, f"/docker/{HEX}"), _slot(2, 1, 7, _MNTNS))
    assert registry.is_container(HEX)
    assert not registry.is_container(_OTHER)


def test_cgroups_that_nothing_ran_in_are_forgotten(registry: Registry) -> None:
    for number in range(23):
        path = f"/made/{number}"
        _take(registry, _cgroup(1, number, path), _cgroup(2, number, path, removed=True))
    _take(registry, _slot(3, 1, 22, _HOST_MNTNS))
    (instance,) = registry.instances()
    assert instance.path is None


def test_what_only_a_socket_tells_of_ended_before_that(registry: Registry) -> None:
    path = f"/docker/{HEX}"
    _take(registry, _cgroup(1, 7, path), _slot(2, 1, 7, _MNTNS), _cgroup(3, 7, path, removed=True))
    (instance,) = registry.instances()
    assert registry.forget(instance) == [1]
    _take(registry, _slot(4, 2, 7, _MNTNS, tgid=0))  # somebody else still listens on it
    (instance,) = registry.instances()
    assert instance.ended_ns == 4
    assert registry.forget(instance) == [2]


def test_a_mount_namespace_with_the_number_of_one_that_is_gone_is_another(
    registry: Registry,
) -> None:
    old, new = f"/docker/{HEX}", f"/docker/{_OTHER}"
    _take(registry, _cgroup(1, 7, old), _slot(2, 1, 7, _MNTNS), _cgroup(3, 7, old, removed=True))
    _take(registry, _cgroup(4, 8, new), _slot(5, 2, 8, _MNTNS))
    _take(registry, _slot(6, 3, 9, _MNTNS))  # from a cgroup of the host: an exec on its way in
    assert registry.slots[3].instance is registry.slots[2].instance
    assert registry.slots[3].phase == _RUNTIME


_ALL, _OWN_MNT = 0xFF, 0xFE  # bits of the namespaces that equal the host's


@pytest.mark.parametrize("other", ["runtime", "steady", "exec"])
def test_a_child_that_left_the_namespaces_does_not_speak_for_its_instance(
    registry: Registry, other: str
) -> None:
    main = {"tgid": 10, "host_namespace_bits": _ALL, "caps_bounding": 3, "netns": 5}
    child = {"tgid": 11, "host_namespace_bits": _OWN_MNT, "caps_bounding": 1, "netns": 6}
    _take(registry, _cgroup(1, 7, "/system.slice/a.service"))
    _take(registry, _slot(2, 1, 7, _HOST_MNTNS, **main))
    _take(registry, _slot(3, 2, 7, _MNTNS, other, **child))
    (instance,) = registry.instances()
    assert (instance.host_bits, instance.caps_bounding) == (_ALL, 3)
    assert (instance.mntns, instance.netns) == (_HOST_MNTNS, 5)


def test_what_the_entrypoint_says_replaces_what_its_runtime_said(registry: Registry) -> None:
    runtime = {"tgid": 10, "host_namespace_bits": _ALL, "caps_bounding": 3}
    main = {"tgid": 11, "host_namespace_bits": 0, "caps_bounding": 1}
    _take(registry, _cgroup(1, 7, f"/docker/{HEX}"))
    _take(registry, _slot(2, 1, 7, _MNTNS, "runtime", **runtime))
    _take(registry, _slot(3, 2, 7, _MNTNS, **main))
    _take(registry, _slot(4, 3, 7, _MNTNS, "steady", **main | {"caps_bounding": 0}))
    (instance,) = registry.instances()
    assert (instance.host_bits, instance.caps_bounding) == (0, 0)


class _Node:
    """A host whose inventory knows container HEX, and the registry of a recorder on it."""

    path = f"/kubepods/burstable/pod{POD_UID}/{HEX}"

    def __init__(self, directory: Path) -> None:
        self.host = Host(directory)
        self.now = 0.0
        file = self.host.write("/inventory.json", {"apiVersion": "v1", "kind": "List",
                                                   "items": [_LISTED]})  # fmt: skip
        resolver = Resolver(
            self.host.root, Inventory.load(file), host_name="node", clock=lambda: self.now
        )
        self.registry = Registry(resolver, BootClock(0), choose=lambda *_: "wanted")
        self.registry.host_mntns = _HOST_MNTNS

    def start(self) -> None:
        number = self.host.cgroup(self.path)
        _take(self.registry, _cgroup(1, number, self.path), _slot(2, 1, number, _MNTNS))

    def row(self) -> dict[str, object]:
        (name,) = self.registry.changed_workloads()["name"]
        columns = self.registry.changed_instances()
        return {key: value for key, (value,) in columns.items()} | {"name": name}


_LISTED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "redis-0", "namespace": "shop", "uid": POD_UID},
    "spec": {"containers": [{"name": "redis", "image": "redis:7"}]},
    "status": {"containerStatuses": [{"name": "redis", "containerID": f"containerd://{HEX}"}]},
}


def test_the_runtime_of_a_container_that_the_inventory_names_comes_later(tmp_path: Path) -> None:
    node = _Node(tmp_path)
    node.start()
    (instance,) = node.registry.instances()
    assert (instance.identity.state, instance.identity.source) == ("resolved", "inventory")
    assert node.registry.pending() == [instance]
    assert (node.row()["name"], node.registry.has_pending()) == ("redis-0", True)
    node.host.runc(HEX, cgroup=node.path)
    node.registry.resolve_pending()
    assert (node.row()["runtime"], instance.identity.init_pid) == ("runc", 4711)
    assert not node.registry.has_pending()


def test_what_a_runtime_says_later_changes_no_name(tmp_path: Path) -> None:
    node = _Node(tmp_path)
    node.start()
    (instance,) = node.registry.instances()
    key, number = instance.identity.workload_key, instance.workload
    node.host.runc(HEX, cgroup=node.path, annotations=CRI)
    node.registry.resolve_pending()
    assert instance.identity.runtime == "runc"
    assert (instance.identity.workload_key, instance.workload) == (key, number)


def test_a_runtime_is_not_waited_for_longer_than_a_name(tmp_path: Path) -> None:
    node = _Node(tmp_path)
    node.start()
    node.now += GRACE_S
    node.registry.resolve_pending()
    assert not node.registry.has_pending()
    node.host.runc(HEX, cgroup=node.path)
    node.registry.resolve_pending()
    assert node.row()["runtime"] is None


def test_the_runtime_of_what_is_not_recorded_is_not_waited_for(tmp_path: Path) -> None:
    node = _Node(tmp_path)
    node.registry._choose = lambda *_: "unwanted"
    node.start()
    assert not node.registry.has_pending()


# --- names that come late, or never ---------------------------------------------------------------

_POD = CRI["io.kubernetes.cri.sandbox-name"]


def _written(registry: Registry, *windows: dict[str, list[object]]) -> dict[object, tuple]:
    """Return name and state of each workload as a recording has them: the last row stands."""
    return {
        number: (name, state)
        for rows in (*windows, registry.changed_workloads())
        for number, name, state in zip(rows["workload"], rows["name"], rows["state"], strict=True)
    }


def _container(host: Host, container_id: str) -> tuple[str, int]:
    path = f"/kubepods/burstable/pod{POD_UID}/{container_id}"
    return path, host.cgroup(path)


class _Late:
    """A registry of a host without inventory, where names come from what runtimes write."""

    def __init__(self, directory: Path) -> None:
        self.host = Host(directory)
        self.now = 0.0
        self.resolver = Resolver(self.host.root, host_name="node", clock=lambda: self.now)
        self.registry = Registry(self.resolver, BootClock(0), choose=lambda *_: "wanted")
        self.registry.host_mntns = _HOST_MNTNS

    def start(self, container_id: str, slot: int) -> str:
        path, number = _container(self.host, container_id)
        _take(self.registry, _cgroup(slot, number, path), _slot(slot, slot, number, 200 + slot))
        return path

    def end(self, path: str, time_ns: int) -> None:
        number = self.host.path(f"{self.host.mount}{path}").stat().st_ino
        _take(self.registry, _cgroup(time_ns, number, path, removed=True))


def test_what_was_written_under_a_pending_name_is_of_the_one_that_came(tmp_path: Path) -> None:
    late = _Late(tmp_path)
    path = late.start(HEX, 1)
    first = late.registry.changed_workloads()
    assert first["state"] == ["pending"]
    late.host.runc(HEX, cgroup=path, annotations=CRI)
    late.registry.resolve_pending()
    ((name, state),) = _written(late.registry, first).values()
    assert (name, state) == (_POD, "resolved")


def test_a_workload_with_a_name_already_lends_it_to_what_was_pending(tmp_path: Path) -> None:
    late = _Late(tmp_path)
    path = late.start(HEX, 1)
    late.host.runc(HEX, cgroup=path, annotations=CRI)
    late.registry.resolve_pending()
    other = late.start(_OTHER, 2)
    first = late.registry.changed_workloads()
    assert sorted(first["state"]) == ["pending", "resolved"]
    late.host.runc(_OTHER, cgroup=other, annotations=CRI)
    late.registry.resolve_pending()
    assert set(_written(late.registry, first).values()) == {(_POD, "resolved")}
    assert late.registry.slots[1].instance.workload == late.registry.slots[2].instance.workload


def test_a_name_that_was_settled_is_not_taken_back_by_a_newer_cgroup(tmp_path: Path) -> None:
    late = _Late(tmp_path)
    path = "/shop/web"
    number = late.host.cgroup(path)
    _take(late.registry, _cgroup(1, number, path), _slot(1, 1, number, _HOST_MNTNS))
    late.now += GRACE_S
    late.registry.resolve_pending()
    first = late.registry.changed_workloads()
    _take(late.registry, _cgroup(2, number, path, removed=True))
    (ended,) = late.registry.ended(3)
    late.registry.forget(ended)
    _take(late.registry, _cgroup(4, number + 1, path), _slot(4, 2, number + 1, _HOST_MNTNS))
    ((name, state),) = _written(late.registry, first).values()
    assert (name, state != "pending") == (path, True)


def test_what_ended_is_kept_until_its_name_is_settled(tmp_path: Path) -> None:
    late = _Late(tmp_path)
    late.end(late.start(HEX, 1), 2)
    first = late.registry.changed_workloads()
    assert late.registry.ended(3) == []
    late.now += GRACE_S
    late.registry.resolve_pending()
    assert [one.path for one in late.registry.ended(3)] == [
        one.path for one in late.registry.instances()
    ]
    ((_, state),) = _written(late.registry, first).values()
    assert state == "unresolved"


def test_nothing_is_pending_in_a_recording_that_has_ended(tmp_path: Path) -> None:
    late = _Late(tmp_path)
    late.start(HEX, 1)
    first = late.registry.changed_workloads()
    late.resolver.settle()
    late.registry.resolve_pending()
    ((_, state),) = _written(late.registry, first).values()
    assert (state, late.registry.has_pending()) == ("unresolved", False)
