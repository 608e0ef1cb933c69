"""Who a cgroup is, by what each runtime leaves on a host; and who it must not become."""

import json
import os

import pytest

from profiler.identity import GRACE_S, Resolver
from tests.hosts import CRI, CRIO, HEX, POD_UID, Host

pytestmark = pytest.mark.unit

SLICE = f"kubepods-burstable-pod{POD_UID.replace('-', '_')}.slice"
PODS = f"/kubepods.slice/kubepods-burstable.slice/{SLICE}"
STORE = "/var/lib/containers/storage"
USERDATA = f"{STORE}/overlay-containers/{HEX}/userdata"
DIGEST = "sha256:" + "ab" * 32


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def resolver(host, clock):
    return Resolver(host.root, cluster="test", host_name="node-1", clock=clock)


def resolve(resolver, host, path, **more):
    return resolver.resolve(path, cgroup_id=host.cgroup(path), mntns=1, **more)


def annotated_pod(identity):
    return (
        identity.kind,
        identity.namespace,
        identity.name,
        identity.container,
        identity.container_kind,
    )


POD = ("Pod", "shop-staging", "checkout-5d4f8c7b9d-x2x9z", "nginx", "main")


def test_runc_names_a_container_by_its_id(host, resolver):
    host.runc("checkout", cgroup="/checkout")
    identity = resolve(resolver, host, "/checkout")
    assert (identity.kind, identity.name, identity.source) == ("Container", "checkout", "oci")
    assert (identity.state, identity.runtime, identity.init_pid) == ("resolved", "runc", 4711)
    assert (identity.container_id, identity.bundle) == ("checkout", "/somewhere/bundle")
    assert identity.workload_key == "test/_/Container/checkout/_/none"


def test_a_container_is_found_wherever_its_runtime_put_its_cgroup(host, resolver):
    host.runc("checkout", cgroup="/system.slice/shop.service/web")
    assert resolve(resolver, host, "/system.slice/shop.service/web").name == "checkout"
    assert resolve(resolver, host, "/system.slice/shop.service/web/child").name == "checkout"
    assert resolve(resolver, host, "/system.slice/shop.service").kind == "Unit"


def test_the_nearest_declared_cgroup_is_the_container(host, resolver):
    host.runc("outer", cgroup="/shop")
    host.runc("inner", cgroup="/shop/inner")
    assert resolve(resolver, host, "/shop/inner/child").name == "inner"
    assert resolve(resolver, host, "/shop/other").name == "outer"


def test_a_pure_version_2_host_is_the_same(tmp_path):
    host = Host(tmp_path, is_unified=True)
    host.runc("checkout", cgroup="/shop/web")
    assert resolve(Resolver(tmp_path), host, "/shop/web").name == "checkout"


def test_annotations_in_a_bundle_of_runc_name_the_pod(host, resolver):
    host.runc(HEX, cgroup=f"/{HEX}", annotations=CRI)
    identity = resolve(resolver, host, f"/{HEX}")
    assert annotated_pod(identity) == POD
    assert (identity.source, identity.state, identity.pod_uid) == ("cri", "resolved", POD_UID)
    assert identity.image == "docker.io/library/nginx:1.25"
    assert "no inventory" in identity.reason
    assert "ReplicaSet `checkout-5d4f8c7b9d`" in identity.reason


def test_crun_and_crio_name_the_pod_in_their_own_dialect(host, resolver):
    path = f"{PODS}/crio-{HEX}.scope"
    host.crun(HEX, cgroup=path, annotations=CRIO, bundle=USERDATA)
    identity = resolve(resolver, host, path)
    assert annotated_pod(identity) == POD
    assert (identity.runtime, identity.init_pid, identity.source) == ("crun", 4712, "cri")
    assert identity.image_digest == f"sha256:{HEX}"
    assert dict(identity.labels) == {"app": "checkout"}


def test_containerd_names_the_pod_by_its_task_when_no_state_is_left(host, resolver):
    task = f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{HEX}"
    host.write(f"{task}/config.json", {"annotations": CRI})
    identity = resolve(resolver, host, f"{PODS}/cri-containerd-{HEX}.scope")
    assert annotated_pod(identity) == POD
    assert (identity.pod_uid, identity.runtime) == (POD_UID, None)


def test_the_sandbox_of_a_pod_is_no_container_of_it(host, resolver):
    sandbox = CRI | {"io.kubernetes.cri.container-type": "sandbox"}
    sandbox.pop("io.kubernetes.cri.container-name")
    host.runc(HEX, cgroup=f"/k8s.io/{HEX}", annotations=sandbox, root="/run/containerd/runc/k8s.io")
    identity = resolve(resolver, host, f"/k8s.io/{HEX}")
    assert (identity.container, identity.container_kind) == ("POD", "none")


def test_docker_names_a_container_and_its_image(host, resolver):
    config = {
        "Name": "/web",
        "Image": DIGEST,
        "Config": {"Image": "nginx:1.25", "Labels": {"app": "web", "n": 7}},
        "State": {"Pid": 99},
    }
    host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", config)
    identity = resolve(resolver, host, f"/docker/{HEX}")
    assert (identity.kind, identity.name, identity.source) == ("Container", "web", "docker")
    assert (identity.image, identity.image_digest) == ("nginx:1.25", DIGEST)
    assert (dict(identity.labels), identity.init_pid) == ({"app": "web"}, 99)


def test_podman_names_a_container_and_its_image(host, resolver):
    podman(host)
    identity = resolve(resolver, host, f"/machine.slice/libpod-{HEX}.scope/container")
    assert (identity.kind, identity.name, identity.source) == ("Container", "web", "podman")
    assert (identity.image, identity.image_digest) == ("example.test/web:1", DIGEST)
    assert identity.state == "resolved"


def podman(host, annotations=()):
    row = {"id": HEX, "names": ["web"], "image": "cafe", "metadata": json.dumps(
        {"image-name": "example.test/web:1", "name": "web"})}  # fmt: skip
    host.write(f"{STORE}/overlay-containers/containers.json", [row])
    host.write(f"{STORE}/overlay-images/images.json", [{"id": "cafe", "digest": DIGEST}])
    host.write(f"{USERDATA}/config.json", {"annotations": dict(annotations)})


def test_a_container_that_podman_adds_later_is_seen(host, resolver):
    host.write(f"{STORE}/overlay-containers/containers.json", [])
    assert resolve(resolver, host, f"/libpod_parent/libpod-{HEX}").state == "pending"
    podman(host)
    assert resolve(resolver, host, f"/libpod_parent/libpod-{HEX}").name == "web"


def test_an_annotation_under_podman_makes_no_pod(host, resolver):
    forged = CRI | CRIO | {"io.container.manager": "cri-o", "bundle": "/elsewhere"}
    podman(host, forged)
    path = f"/libpod_parent/libpod-{HEX}"
    host.runc(HEX, cgroup=path, annotations=forged, bundle=USERDATA)
    identity = resolve(resolver, host, path)
    assert (identity.kind, identity.name, identity.namespace) == ("Container", "web", None)
    assert identity.bundle == USERDATA


@pytest.mark.parametrize(
    ("root", "bundle", "path"),
    [
        (
            "/run/docker/runtime-runc/moby",
            f"/run/containerd/io.containerd.runtime.v2.task/moby/{HEX}",
            f"/docker/{HEX}",
        ),
        ("/run/containerd/runc/default", "/somewhere", f"/default/{HEX}"),
        ("/run/containerd/runc/default", "/somewhere", f"/elsewhere/{HEX}"),
        ("/run/runc", USERDATA, f"/elsewhere/{HEX}"),
        ("/run/runc", "/somewhere", f"/machine.slice/libpod-{HEX}.scope"),
        ("/run/runc", "/somewhere", f"/system.slice/docker-{HEX}.scope"),
    ],
)
def test_an_annotation_that_anybody_may_give_makes_no_pod(host, resolver, root, bundle, path):
    host.runc(HEX, cgroup=path, annotations=CRI, root=root, bundle=bundle)
    identity = resolve(resolver, host, path)
    assert (identity.kind, identity.namespace, identity.name) == ("Container", None, HEX)


def test_a_pod_cannot_speak_the_dialect_of_the_other_engine(host, resolver):
    path = f"{PODS}/crio-{HEX}.scope"
    victim = CRI | {"io.kubernetes.cri.sandbox-name": "victim"}
    host.crun(HEX, cgroup=path, annotations=victim | CRIO, bundle=USERDATA)
    assert resolve(resolver, host, path).pod == "checkout-5d4f8c7b9d-x2x9z"


def test_labels_under_docker_make_a_pod_only_in_that_pods_cgroup(host, resolver):
    labels = {
        "io.kubernetes.pod.name": "checkout",
        "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": POD_UID,
        "io.kubernetes.container.name": "nginx",
    }
    config = {"Name": "/k8s_nginx", "Config": {"Labels": labels}}
    host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", config)
    inside = resolve(resolver, host, f"{PODS}/docker-{HEX}.scope")
    assert (inside.kind, inside.name, inside.container) == ("Pod", "checkout", "nginx")
    assert inside.source == "docker"
    outside = resolve(resolver, host, f"/docker/{HEX}")
    assert (outside.kind, outside.name) == ("Container", "k8s_nginx")


def test_a_user_cannot_name_a_cgroup_after_a_container_of_the_system(host, resolver):
    host.runc(HEX, cgroup=f"/machine.slice/libpod-{HEX}.scope", annotations=CRI)
    podman(host)
    path = f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{HEX}.scope"
    identity = resolve(resolver, host, path)
    assert (identity.name, identity.runtime_id) == (HEX, f"user-1000/{HEX}")
    assert (identity.runtime, identity.image) == (None, None)
    assert "ordinary user" in identity.reason


def test_a_container_that_root_runs_in_a_users_session_is_that_container(host, resolver):
    path = "/user.slice/user-1000.slice/checkout"
    host.cgroup(path)
    host.runc("checkout", cgroup=path)
    assert resolve(resolver, host, path).name == "checkout"
    assert resolve(resolver, host, f"{path}/child").name == "checkout"


def test_a_user_cannot_make_the_cgroup_that_a_container_had(host, resolver):
    path = "/user.slice/user-1000.slice/user@1000.service/checkout"
    host.runc("checkout", cgroup=path)
    resolver.prefetch()
    assert resolve(resolver, host, path).kind == "Unit"
    assert resolve(resolver, host, f"{path}/child").kind == "Unit"


def test_a_cgroup_below_one_that_was_made_anew_is_not_the_container_before(host, resolver):
    host.cgroup("/shop/web")
    host.runc("checkout", cgroup="/shop/web")
    resolver.prefetch()
    host.path(f"{host.mount}/shop/web").rename(host.path(f"{host.mount}/shop/old"))
    assert resolve(resolver, host, "/shop/web/child").kind == "Cgroup"


def test_a_unit_cannot_name_a_cgroup_after_a_container_elsewhere(host, resolver, clock):
    host.runc(HEX, cgroup=f"/docker/{HEX}", annotations=CRI)
    path = f"/system.slice/hostile.service/docker-{HEX}.scope"
    resolve(resolver, host, path)
    clock.now += GRACE_S
    identity = resolve(resolver, host, path)
    assert (identity.kind, identity.state, identity.runtime) == ("Container", "unresolved", None)


def test_a_container_keeps_its_name_when_it_is_gone(host, resolver):
    number = host.cgroup("/shop/web")
    host.runc("checkout", cgroup="/shop/web", annotations=CRI)
    resolver.prefetch()
    host.remove("/run/runc/checkout")
    host.remove(f"{host.mount}/shop")
    identity = resolver.resolve("/shop/web", cgroup_id=number, mntns=1)
    assert annotated_pod(identity) == POD


def test_what_an_engine_keeps_can_be_read_ahead_too(host, resolver):
    podman(host)
    resolver.prefetch(HEX)
    host.remove(STORE)
    assert resolve(resolver, host, f"/libpod_parent/libpod-{HEX}").name == "web"


def test_a_container_that_nobody_saw_is_named_by_its_path(host, resolver, clock):
    first = resolver.resolve(f"/docker/{HEX}", cgroup_id=77, mntns=1)
    assert (first.kind, first.name, first.state) == ("Container", HEX, "pending")
    clock.now += GRACE_S
    last = resolver.resolve(f"/docker/{HEX}", cgroup_id=77, mntns=1)
    assert (last.name, last.state, last.source) == (HEX, "unresolved", "cgroup")
    assert last.reason


def test_a_name_that_comes_late_is_taken(host, resolver, clock):
    assert resolve(resolver, host, "/shop/web").state == "pending"
    host.runc("checkout", cgroup="/shop/web")
    identity = resolve(resolver, host, "/shop/web")
    assert (identity.kind, identity.name, identity.state) == ("Container", "checkout", "resolved")


def test_a_cgroup_that_stays_unnamed_has_its_path_for_a_name(host, resolver, clock):
    resolve(resolver, host, "/shop/web")
    clock.now += GRACE_S
    identity = resolve(resolver, host, "/shop/web")
    assert (identity.kind, identity.name, identity.source) == ("Cgroup", "/shop/web", "cgroup")
    assert identity.state == "resolved"


def test_a_container_id_that_is_used_again_is_not_the_container_before(host, resolver):
    first = host.cgroup("/shop/web")
    host.runc("checkout", cgroup="/shop/web", annotations=CRI, pid=1)
    assert resolver.resolve("/shop/web", cgroup_id=first, mntns=1).init_pid == 1
    assert resolver.resolve("/shop/web", cgroup_id=first + 1, mntns=1).state == "pending"
    host.path(f"{host.mount}/shop/web").rename(host.path(f"{host.mount}/shop/old"))
    second = host.cgroup("/shop/web")
    host.runc("checkout", cgroup="/shop/web", annotations={"a": "other"}, pid=22)
    assert resolver.resolve("/shop/web", cgroup_id=second, mntns=1).init_pid == 22
    assert resolver.resolve("/shop/web", cgroup_id=first, mntns=1).init_pid == 1


def test_a_command_owns_its_cgroup_and_all_below(host, resolver):
    resolver.register_command("/ethogram/run-1", [b"/usr/bin/curl", b"-s"], "run-1")
    for path in ("/ethogram/run-1", "/ethogram/run-1/child"):
        identity = resolve(resolver, host, path)
        assert (identity.kind, identity.name, identity.source) == ("Command", "curl", "command")
        assert (identity.runtime_id, identity.state) == ("run-1", "resolved")
    assert resolve(resolver, host, "/ethogram/run-10").kind == "Cgroup"


@pytest.mark.parametrize(
    ("argv", "name"), [([b"./\xff\n"], "\\xff\\x0a"), ([], "_"), (["/"], "/"), (["a/b/"], "b")]
)
def test_a_command_has_a_name_whatever_it_is_called(host, resolver, argv, name):
    resolver.register_command("/run", argv, "run-1")
    assert resolve(resolver, host, "/run").name == name


def test_a_unit_has_its_invocation_for_an_instance(host, resolver):
    units = host.path("/run/systemd/units")
    units.mkdir(parents=True)
    (units / "invocation:nginx.service").symlink_to("0123456789abcdef" * 2)
    identity = resolve(resolver, host, "/system.slice/nginx.service")
    assert (identity.kind, identity.name, identity.source) == ("Unit", "nginx.service", "systemd")
    assert (identity.runtime_id, identity.state) == ("0123456789abcdef" * 2, "resolved")


def test_a_unit_without_invocation_is_told_apart_by_its_cgroup(host, resolver):
    path = "/system.slice/nginx.service"
    assert resolve(resolver, host, path).runtime_id == f"{path}#{host.cgroup(path)}"


def test_sessions_of_one_user_are_one_workload(host, resolver):
    sessions = [
        resolve(resolver, host, f"/user.slice/user-1000.slice/session-{number}.scope")
        for number in (3, 4)
    ]
    assert {session.workload_key for session in sessions} == {"test/_/Session/user-1000/_/none"}
    assert len({session.runtime_id for session in sessions}) == 2


def test_the_root_cgroup_is_the_host(host, resolver):
    identity = resolver.resolve("/", cgroup_id=1, mntns=1)
    assert (identity.kind, identity.name, identity.state) == ("Host", "node-1", "resolved")


def test_a_path_is_looked_up_by_id(host, resolver):
    number = host.cgroup("/system.slice/nginx.service")
    assert resolver.resolve(None, cgroup_id=number, mntns=1).name == "nginx.service"


def test_a_process_is_asked_for_the_path_only_if_it_is_still_there(host, resolver):
    number = host.cgroup("/system.slice/nginx.service")
    host.process(7, "0::/system.slice/nginx.service\n")
    moved = resolver.resolve(None, cgroup_id=number + 12345, mntns=1, pid=7)
    assert (moved.kind, moved.state) == ("Cgroup", "pending")
    assert "never seen" in moved.reason


def test_a_container_that_only_version_1_knows_is_found_by_its_process(host, resolver):
    host.process(7, f"4:memory:/docker/{HEX}\n1:name=systemd:/docker/{HEX}\n0::/\n")
    host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", {"Name": "/web"})
    identity = resolver.resolve("/", cgroup_id=1, mntns=2, pid=7)
    assert (identity.kind, identity.name) == ("Container", "web")


def test_a_process_of_the_host_is_not_asked(host, resolver):
    host.process(7, f"4:memory:/docker/{HEX}\n0::/\n")
    namespaces = host.path("/proc/1/ns")
    namespaces.mkdir(parents=True)
    (namespaces / "mnt").symlink_to("mnt:[4026531841]")
    identity = resolver.resolve("/", cgroup_id=1, mntns=4026531841, pid=7)
    assert identity.kind == "Host"


def test_a_hostile_name_is_one_line_of_bounded_length(host, resolver):
    config = {"Name": "/a\n\x1b[31m\u202e" + "x" * 100_000, "Config": {"Labels": {"k\x00": "v\r"}}}
    host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", config)
    identity = resolve(resolver, host, f"/docker/{HEX}")
    assert identity.name.isprintable()
    assert len(identity.name) <= 512
    assert all(text.isprintable() for pair in identity.labels.items() for text in pair)


def test_two_names_that_are_too_long_stay_two(host, resolver):
    names = []
    for last in "ab":
        config = {"Name": "/" + "x" * 1000 + last}
        host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", config)
        names.append(resolve(resolver, host, f"/docker/{HEX}").name)
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"config": 7}',
     b'{"cgroup_paths": [1], "config": {"labels": {"a": 1}}, "init_process_pid": true}',
     b'{"config": {"labels": [1, null, "bundle=", "=", "a"]}, "cgroup_paths": {"": 5}}'],
)  # fmt: skip
def test_a_malformed_state_is_no_state(host, resolver, content):
    host.write(f"/run/runc/{HEX}/state.json", content)
    host.write(f"/var/lib/docker/containers/{HEX}/config.v2.json", content)
    host.write(f"{STORE}/overlay-containers/containers.json", content)
    host.write(f"{USERDATA}/config.json", content)
    identity = resolve(resolver, host, f"/docker/{HEX}")
    assert (identity.kind, identity.namespace, identity.init_pid) == ("Container", None, None)


def test_a_state_that_is_too_large_is_not_read(host, resolver):
    padding = {"padding": "x" * (4 << 20), "cgroup_paths": {"": "/sys/fs/cgroup/unified/web"}}
    host.write("/run/runc/web/state.json", padding)
    assert resolve(resolver, host, "/web").kind == "Cgroup"


def test_a_bundle_that_is_a_pipe_does_not_stop_us(host, resolver, tmp_path):
    bundle = tmp_path / "home" / "bundle"
    bundle.mkdir(parents=True)
    os.mkfifo(bundle / "config.json")
    host.runc("web", cgroup="/web", bundle="/home/bundle")
    assert resolve(resolver, host, "/web").name == "web"


def test_a_bundle_that_leads_elsewhere_is_not_followed(host, resolver, tmp_path):
    secret = host.write("/etc/secret.json", {"annotations": CRI})
    bundle = tmp_path / "home" / "bundle"
    bundle.mkdir(parents=True)
    (bundle / "config.json").symlink_to(secret)
    host.runc("web", cgroup="/web", bundle="/home/bundle")
    assert resolve(resolver, host, "/web").namespace is None


@pytest.mark.parametrize("name", ["..", "a b", "x" * 2000, "-\n"])
def test_what_is_no_container_id_is_not_looked_for(host, resolver, name):
    resolver.prefetch(name)
    identity = resolver.resolve(f"/default/{name}", cgroup_id=5, mntns=1)
    assert identity.kind == "Cgroup" or identity.runtime is None
