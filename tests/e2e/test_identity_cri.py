"""Pods that a kubelet runs on containerd have their names, without a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from profiler.identity import Resolver
from tests.e2e.cri import CriPod, Kubelet, image_archive
from tests.e2e.engines import PAUSE, Containerd, without_traces
from tests.e2e.recorded import GETPGRP, KNOWN, known_words, recorded
from tests.workloads import build_known

pytestmark = pytest.mark.e2e

UID = "0d6f9c1e-3f5a-4b43-9a3e-8f1d2c3b4a5d"
IMAGE = "example.test/web:1"
PAUSE_CALL = 34
POD = CriPod("shop", "cart-0", UID, "cart", IMAGE, f"/kubepods/besteffort/pod{UID}")


@pytest.fixture(scope="module")
def kubelet(tmp_path_factory: pytest.TempPathFactory, busybox_image: Path) -> Iterator[Kubelet]:
    if not shutil.which("containerd"):
        pytest.skip("not installed: containerd")
    directory = tmp_path_factory.mktemp("cri")
    daemon = Containerd(directory, has_cri=True)
    with without_traces(cgroups=["kubepods"]), daemon.running():
        found = Kubelet(daemon.address)
        try:
            for name in (IMAGE, PAUSE):
                archive = directory / "image.tar"
                image_archive(busybox_image, archive, name)
                daemon.ctr("k8s.io", "images", "import", str(archive))
                found.wait_for_image(name)
            yield found
        finally:
            found.close()


def test_a_container_of_a_pod_is_named_by_what_the_runtime_wrote(kubelet: Kubelet) -> None:
    resolver = Resolver()
    with kubelet.sandbox(POD) as sandbox:
        container = kubelet.start(POD, sandbox, ["/bin/sleep", "1000"])
        found = {}
        for number in (sandbox, container):
            path = f"{POD.cgroup_parent}/{number}"
            cgroup = resolver.hierarchy.id_of(path)
            assert cgroup is not None
            found[number] = resolver.resolve(path, cgroup_id=cgroup, mntns=1)
    one = found[container]
    assert (one.kind, one.name, one.source, one.state) == ("Pod", "cart-0", "cri", "resolved")
    assert (one.namespace, one.pod, one.pod_uid) == ("shop", "cart-0", UID)
    assert (one.container, one.container_kind, one.image) == ("cart", "main", IMAGE)
    assert (one.container_id, one.runtime) == (container, "runc")
    pause = found[sandbox]
    assert (pause.namespace, pause.pod, pause.container_kind) == ("shop", "cart-0", "none")


def test_a_pod_is_recorded_from_its_first_call(kubelet: Kubelet, tmp_path: Path) -> None:
    command = known_words(
        ["call", GETPGRP, 5], ["listen", 0], ["call", GETPGRP, 23], ["handle", 15],
        ["call", PAUSE_CALL, 1], ["call", GETPGRP, 7],
    )  # fmt: skip

    def live() -> None:
        with kubelet.sandbox(POD) as sandbox:
            container = kubelet.start(POD, sandbox, command, {KNOWN: str(build_known())})
            kubelet.execute(container, known_words(["call", GETPGRP, 11]))
            kubelet.stop(container)

    seen = recorded(tmp_path, live, "--pod", "shop/cart-0")
    assert seen.calls("getpgrp") == {"startup": 5, "steady": 23, "exec": 11, "shutdown": 7}
    names = {(row["kind"], row["name"], row["source"]) for row in seen.workloads.values()}
    assert names == {("Pod", "cart-0", "cri")}
    kinds = {(row["container"], row["container_kind"]) for row in seen.workloads.values()}
    assert kinds == {("cart", "main"), ("POD", "none")}
