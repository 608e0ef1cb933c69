"""What a cgroup's path says, and what it must not be able to say."""

import pytest

from profiler.identity.cgroups import is_inside, name_of
from profiler.identity.hierarchy import Hierarchy
from tests.hosts import HEX, POD_UID, Host

pytestmark = pytest.mark.unit

SLICE = f"kubepods-burstable-pod{POD_UID.replace('-', '_')}.slice"
PODS = f"/kubepods.slice/kubepods-burstable.slice/{SLICE}"
OTHER = "0" * 64


@pytest.mark.parametrize(
    ("path", "container_id", "engine"),
    [
        ("/default/web", "web", "containerd"),
        (f"/{HEX}", HEX, None),
        (f"/k8s.io/{HEX}", HEX, "containerd"),
        (f"/docker/{HEX}", HEX, "docker"),
        (f"/system.slice/docker-{HEX}.scope", HEX, "docker"),
        (f"{PODS}/cri-containerd-{HEX}.scope", HEX, "containerd"),
        (f"{PODS}/crio-{HEX}.scope", HEX, "crio"),
        (f"{PODS}/crio-{HEX}.scope/container", HEX, "crio"),
        (f"{PODS}/docker-{HEX}.scope", HEX, "docker"),
        (f"/system.slice/containerd.service/{SLICE}:cri-containerd:{HEX}", HEX, "containerd"),
        (f"/kubepods/burstable/pod{POD_UID}/{HEX}", HEX, None),
        (f"/kubepods/pod{POD_UID}/crio-{HEX}", HEX, "crio"),
        (f"/kubepods/pod{POD_UID}/web", "web", None),
        (f"/machine.slice/libpod-{HEX}.scope", HEX, "podman"),
        (f"/machine.slice/libpod-{HEX}.scope/container", HEX, "podman"),
        (f"/libpod_parent/libpod-{HEX}", HEX, "podman"),
        (f"/system.slice/web.service/libpod-payload-{HEX}", HEX, "podman"),
        (f"/{HEX}/init.scope", HEX, None),
    ],
)
def test_a_container_is_found_in_its_path(path, container_id, engine):
    name = name_of(path)
    assert (name.kind, name.name, name.engine) == ("container", container_id, engine)


@pytest.mark.parametrize("inner", [f"docker/{OTHER}", f"libpod-{OTHER}.scope", "nginx.service"])
def test_what_is_inside_a_container_belongs_to_that_container(inner):
    name = name_of(f"/docker/{HEX}/{inner}")
    assert (name.name, name.cgroup) == (HEX, f"/docker/{HEX}")


def test_the_uid_of_the_pod_is_in_the_path_with_either_driver():
    for path in (f"{PODS}/cri-containerd-{HEX}.scope", f"/kubepods/besteffort/pod{POD_UID}/{HEX}"):
        assert name_of(path).pod_uid == POD_UID


def test_a_static_pod_has_a_hash_for_a_uid():
    name = name_of(f"/kubepods/burstable/pod{HEX[:32]}/{HEX}")
    assert (name.pod_uid, name.name) == (HEX[:32], HEX)


def test_a_pod_has_a_cgroup_of_its_own():
    name = name_of(PODS)
    assert (name.kind, name.name, name.pod_uid) == ("pod", POD_UID, POD_UID)


@pytest.mark.parametrize("monitor", ["crio-conmon", "libpod-conmon"])
def test_the_monitor_of_a_container_is_not_the_container(monitor):
    assert name_of(f"/machine.slice/{monitor}-{HEX}.scope").name == f"{monitor}.scope"
    assert name_of(f"{PODS}/{monitor}-{HEX}.scope").kind == "unit"


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("/", "root", "/"),
        ("", "root", "/"),
        ("/system.slice/nginx.service", "unit", "nginx.service"),
        ("/system.slice/nginx.service/worker", "unit", "nginx.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "unit", "getty@tty1.service"),
        ("/init.scope", "unit", "init.scope"),
        ("/user.slice/user-1000.slice/session-3.scope", "session", "user-1000"),
        ("/user.slice/user-1000.slice/session-c17.scope", "session", "user-1000"),
        ("/user.slice/user-1000.slice/user@1000.service", "unit", "user@1000.service"),
        ("/system.slice", "cgroup", "/system.slice"),
        ("/lab/one/", "cgroup", "/lab/one"),
        ("/kubepods/burstable", "cgroup", "/kubepods/burstable"),
        ("/default", "cgroup", "/default"),
    ],
)
def test_what_is_no_container_has_the_name_that_systemd_or_its_path_gives_it(path, kind, name):
    found = name_of(path)
    assert (found.kind, found.name) == (kind, name)


def test_a_unit_of_a_user_is_not_the_system_unit_of_the_same_name():
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service"
    assert name_of(path).name == "user@1000.service/nginx.service"


def test_what_a_user_made_is_marked_with_the_user():
    path = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{HEX}.scope"
    assert name_of(path).owner == "user-1000"
    assert name_of(f"/machine.slice/libpod-{HEX}.scope").owner is None


def test_nothing_is_inside_the_root_by_name():
    assert is_inside("/a/b", "/a")
    assert is_inside("/a", "/a/")
    assert not is_inside("/ab", "/a")
    assert not is_inside("/a", "/")


@pytest.mark.parametrize(("is_unified", "mode"), [(True, "unified"), (False, "hybrid")])
def test_an_id_is_an_inode_under_the_unified_hierarchy(tmp_path, is_unified, mode):
    host = Host(tmp_path, is_unified=is_unified)
    number = host.cgroup("/system.slice/nginx.service")
    hierarchy = Hierarchy(tmp_path)
    assert hierarchy.mode == mode
    assert hierarchy.id_of("/system.slice/nginx.service") == number
    assert hierarchy.path_of(number) == "/system.slice/nginx.service"


def test_a_cgroup_that_was_made_or_removed_since_is_seen(tmp_path):
    host = Host(tmp_path)
    hierarchy = Hierarchy(tmp_path)
    assert hierarchy.path_of(1) is None
    number = host.cgroup("/late")
    assert hierarchy.path_of(number) == "/late"
    host.path(f"{host.mount}/late").rename(host.path(f"{host.mount}/later"))
    assert hierarchy.path_of(number) == "/later"


def test_a_host_without_version_2_has_no_ids(tmp_path):
    hierarchy = Hierarchy(tmp_path)
    assert (hierarchy.mode, hierarchy.mount, hierarchy.id_of("/")) == ("legacy", None, None)
    assert list(hierarchy.walk()) == []


def test_a_process_says_where_it_is_in_each_hierarchy(tmp_path):
    host = Host(tmp_path)
    host.process(7, "5:cpu,cpuacct:/a:b\n1:name=systemd:/c\n0::/d (deleted)\nnonsense\n")
    cgroups = Hierarchy(tmp_path).of_process(7)
    assert cgroups.unified == "/d"
    assert cgroups.legacy == {"cpu": "/a:b", "cpuacct": "/a:b", "name=systemd": "/c"}


def test_names_of_cgroups_forge_no_lines(tmp_path):
    Host(tmp_path).process(7, "0::/a/x\x0c0::/kubepods/b\u20280::/c\x850::/d\n")
    assert Hierarchy(tmp_path).of_process(7).unified == "/a/x\x0c0::/kubepods/b\u20280::/c\x850::/d"


def test_a_process_that_is_gone_is_nowhere(tmp_path):
    Host(tmp_path)
    assert Hierarchy(tmp_path).of_process(8).unified is None
