"""Real containers have the names that their runtimes and engines gave them."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.oci import Pod, Spec
from profiler.identity import Inventory, Resolver
from tests.e2e.engines import Containerd, Podman

pytestmark = pytest.mark.e2e

SLEEP = ["sleep", "1000"]
POD = Pod(
    "shop-staging",
    "checkout-5d4f8c7b9d-x2x9z",
    "0d6f9c1e-3f5a-4b43-9a3e-8f1d2c3b4a5d",
    "nginx",
    "docker.io/library/nginx:1.25",
)
FORGED = [f"--annotation={key}={value}" for key, value in POD.annotations().items()]
VERSIONED = pytest.mark.parametrize("runtime", ["runc", "crun"])


def identity_of(pid, resolver=None):
    """Resolve process *pid* as the recorder does: by the id of its cgroup and by its path."""
    resolver = resolver or Resolver()
    path = resolver.hierarchy.of_process(pid).unified
    number = resolver.hierarchy.id_of(path)
    assert resolver.hierarchy.path_of(number) == path
    mntns = Path(f"/proc/{pid}/ns/mnt").stat().st_ino
    identity = resolver.resolve(path, cgroup_id=number, mntns=mntns, pid=pid)
    assert resolver.resolve(None, cgroup_id=number, mntns=mntns) == identity
    return identity


@VERSIONED
def test_a_container_has_the_id_that_it_was_given(busybox_image, runtime):
    with Container(busybox_image, Spec(SLEEP), runtime=runtime, container_id="checkout") as one:
        identity = identity_of(one.start())
        assert (identity.kind, identity.name, identity.source) == ("Container", "checkout", "oci")
        assert (identity.state, identity.init_pid) == ("resolved", one.pid)
        assert identity.runtime == runtime
        assert identity.runtime_version[0].isdigit()


@VERSIONED
@pytest.mark.parametrize("path", ["/ethogram-live/deep/web", "/ethogram-live.slice/web.service"])
def test_a_container_may_have_its_cgroup_anywhere(busybox_image, runtime, path):
    spec = Spec(SLEEP, cgroups_path=path)
    with Container(busybox_image, spec, runtime=runtime, container_id="checkout") as one:
        assert identity_of(one.start()).name == "checkout"


@VERSIONED
def test_a_container_of_a_pod_has_the_name_of_its_owner(busybox_image, runtime, tmp_path):
    with Container(busybox_image, Spec(SLEEP, pod=POD), runtime=runtime) as one:
        placed = PlacedPod(
            POD, "checkout", "checkout-5d4f8c7b9d", "10.77.0.10", one.container_id
        )  # fmt: skip
        file = tmp_path / "inventory.json"
        file.write_text(json.dumps(inventory(POD.namespace, [placed])))
        pid = one.start()
        alone = identity_of(pid)
        assert (alone.kind, alone.name, alone.container) == ("Pod", POD.name, "nginx")
        owned = identity_of(pid, Resolver(inventory=Inventory.load(file), cluster="staging"))
        key = "staging/shop-staging/Deployment/checkout/nginx/main"
        assert (owned.workload_key, owned.source, owned.state) == (key, "cri", "resolved")
        assert dict(owned.selector) == {"app.kubernetes.io/name": "checkout"}


@VERSIONED
def test_a_container_that_is_gone_keeps_the_name_that_was_read_ahead(busybox_image, runtime):
    resolver = Resolver()
    with Container(busybox_image, Spec(SLEEP, pod=POD), runtime=runtime) as one:
        path = resolver.hierarchy.of_process(one.start()).unified
        number = resolver.hierarchy.id_of(path)
        resolver.prefetch()
        one.stop(signal.SIGKILL)
    assert resolver.hierarchy.id_of(path) is None
    identity = resolver.resolve(path, cgroup_id=number, mntns=1)
    assert (identity.pod, identity.container, identity.state) == (POD.name, "nginx", "resolved")


@pytest.fixture(scope="module")
def podman(tmp_path_factory, busybox_image):
    if not shutil.which("podman"):
        pytest.skip("not installed: podman")
    with Podman(tmp_path_factory.mktemp("podman")).with_image(busybox_image) as podman:
        yield podman


def test_podman_gives_name_image_and_digest(podman):
    digest = podman("image", "inspect", "--format", "{{.Digest}}", "example.test/web:1")
    with podman.container("--name", "web") as (container_id, pid):
        identity = identity_of(pid)
        assert (identity.kind, identity.name, identity.source) == ("Container", "web", "podman")
        assert (identity.container_id, identity.init_pid) == (container_id, pid)
        assert (identity.image, identity.image_digest) == ("example.test/web:1", digest)


def test_an_annotation_given_to_podman_makes_no_pod(podman):
    forged = [*FORGED, "--annotation=io.container.manager=cri-o", "--annotation=bundle=/tmp"]
    with podman.container("--name", "web", *forged) as (_, pid):
        identity = identity_of(pid)
        assert (identity.kind, identity.name, identity.namespace) == ("Container", "web", None)


@pytest.fixture(scope="module")
def containerd(tmp_path_factory):
    if not shutil.which("containerd"):
        pytest.skip("not installed: containerd")
    with Containerd(tmp_path_factory.mktemp("containerd")).running() as daemon:
        yield daemon


def test_a_container_of_ctr_has_the_id_that_it_was_given(containerd, busybox_image):
    with containerd.container(busybox_image, "default") as (container_id, pid):
        identity = identity_of(pid)
        assert (identity.kind, identity.name) == ("Container", container_id)
        assert (identity.runtime, identity.state) == ("runc", "resolved")
        assert identity.bundle.startswith(str(containerd.directory))


def test_annotations_name_a_pod_in_the_kubelets_namespace_alone(containerd, busybox_image):
    with containerd.container(busybox_image, "k8s.io", *FORGED) as (_, pid):
        identity = identity_of(pid)
        assert (identity.kind, identity.name, identity.source) == ("Pod", POD.name, "cri")
    with containerd.container(busybox_image, "default", *FORGED) as (container_id, pid):
        assert identity_of(pid).name == container_id
