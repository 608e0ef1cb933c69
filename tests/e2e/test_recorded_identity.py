"""Whom recordings are about: the runtime of a container, what it shares, who only lives beside."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from demo.containers import Container
from demo.inventory import PlacedPod, inventory
from demo.oci import Pod, Spec
from tests.cases.host import UNIT, unit_cgroup
from tests.e2e.command_line import ETHOGRAM
from tests.e2e.recorded import POD, Record, recorded
from tests.workloads import known

pytestmark = pytest.mark.e2e

SHOP = Pod("shop", "checkout-5d4f8c7b9d-x2x9z", POD.uid, "nginx", "nginx:1")
GETPPID, GETPGRP = 110, 111


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


@pytest.mark.parametrize(
    "target", [("--unit", UNIT), ("--cgroup", f"/system.slice/{UNIT}")], ids=["unit", "cgroup"]
)
def test_what_shares_the_mount_namespace_of_a_unit_is_not_recorded_with_it(
    target: tuple[str, str], tmp_path: Path
) -> None:
    enter = '(echo 0 >"$CGROUP/cgroup.procs" && exec "$KNOWN" call "$1" 23)'
    script = f'{enter}; "$KNOWN" call "$2" 11'
    with unit_cgroup() as cgroup:

        def live() -> None:
            words = ["unshare", "--mount", "sh", "-c", script, "sh", str(GETPGRP), str(GETPPID)]
            environment = {"PATH": "/usr/bin:/bin", "CGROUP": str(cgroup), "KNOWN": known()[0]}
            subprocess.run(words, env=environment, check=True, timeout=60)

        seen = recorded(tmp_path, live, *target)
    assert [row["name"] for row in seen.workloads.values()] == [UNIT]
    assert (seen.calls("getpgrp"), seen.calls("getppid")) == ({"startup": 23}, {})


def test_what_shares_the_mount_namespace_of_a_command_is_not_recorded_with_it(
    tmp_path: Path,
) -> None:
    ready, done, target = tmp_path / "ready", tmp_path / "done", tmp_path / "recording"
    until = 'while [ ! -e "$0" ]; do sleep 0.05; done'
    options = ["-o", str(target), "--ready-file", str(ready)]
    record = [*ETHOGRAM, "record", *options, "--", "sh", "-c", until, str(done)]
    beside = " ".join(known(["call", GETPGRP, 11]))
    script = f"\"$@\" & sh -c '{until}' {ready}; {beside}; : >{done}; wait $!"
    words = ["unshare", "--mount", "sh", "-c", script, "sh", *record]
    subprocess.run(words, check=True, timeout=60, capture_output=True)
    seen = Record(target)
    assert [row["kind"] for row in seen.workloads.values()] == ["Command"]
    assert seen.calls("getpgrp") == {}
