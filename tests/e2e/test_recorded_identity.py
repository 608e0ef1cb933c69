"""What recordings say of the containers themselves: their runtime, and what they share."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.oci import Pod, Spec
from tests.e2e.test_recorded_containers import POD, recorded

pytestmark = pytest.mark.e2e

SHOP = Pod("shop", "checkout-5d4f8c7b9d-x2x9z", POD.uid, "nginx", "nginx:1")


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_the_runtime_is_known_of_a_container_that_the_inventory_names(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    listing = tmp_path / "inventory.json"
    with Container(busybox_image, Spec(["sleep", "1000"]), runtime=runtime) as container:
        replica_set = SHOP.name.rpartition("-")[0]
        placed = PlacedPod(SHOP, "checkout", replica_set, "10.77.0.10", container.container_id)
        listing.write_text(json.dumps(inventory("shop", [placed])))

        def live() -> None:
            container.start()
            container.stop(signal.SIGKILL)

        seen = recorded(tmp_path, live, "--namespace", "shop", "--inventory", str(listing))
    (workload,) = seen.workloads.values()
    assert (workload["name"], workload["source"]) == ("checkout", "inventory")
    (instance,) = seen.instances.values()
    assert instance["runtime"] == runtime
    assert instance["runtime_version"][0].isdigit()


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize("shared", [(), ("network",)], ids=["own", "hosts"])
def test_a_container_on_the_network_of_its_host_says_so(
    runtime: str, shared: tuple[str, ...], busybox_image: Path, tmp_path: Path
) -> None:
    spec = Spec(["sleep", "1000"], pod=POD, host_namespaces=shared)

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            container.start()
            container.stop(signal.SIGKILL)

    (instance,) = recorded(tmp_path, live).instances.values()
    assert ("net" in instance["host_namespaces"]) is bool(shared)
    assert "mnt" not in instance["host_namespaces"]
