"""Containers recorded from their start to their stop: names, phases, layers, who entered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from demo.containers import Container
from demo.network import Network
from demo.oci import Pod, Spec
from tests.e2e.recorded import GETPGRP, GETPPID, KNOWN, POD, known_spec, recorded

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("runtime", ["runc", "crun"])
@pytest.mark.parametrize("no_new_privileges", [True, False], ids=["nnp", "no-nnp"])
def test_the_life_of_a_container_has_its_phases(
    runtime: str, no_new_privileges: bool, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(
        ["call", GETPGRP, 5], ["listen", 80], ["call", GETPGRP, 23], ["handle", 15],
        ["call", 34, 1], ["call", GETPGRP, 7],
        no_new_privileges=no_new_privileges,
    )  # fmt: skip

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            container.start(port=80)
            inside = [KNOWN, "call", str(GETPGRP), "11"]
            assert container.exec(*inside).returncode == 0
            container.stop()

    seen = recorded(tmp_path, live)
    assert seen.calls("getpgrp") == {"startup": 5, "steady": 23, "exec": 11, "shutdown": 7}
    (workload,) = seen.workloads.values()
    named = {name: workload[name] for name in ("namespace", "kind", "name", "container", "source")}
    assert named == {
        "namespace": "shop", "kind": "Pod", "name": "cart-0", "container": "cart", "source": "cri",
    }  # fmt: skip
    (instance,) = seen.instances.values()
    assert instance["no_new_privs"] is no_new_privileges
    assert instance["runtime"] == runtime
    assert instance["host_namespaces"] == ["user", "cgroup", "time"] or set(
        instance["host_namespaces"]
    ) <= {"user", "cgroup", "time"}
    assert instance["ended"] is not None
    assert ("startup", KNOWN) in seen.executed()
    assert ("exec", KNOWN) in seen.executed()
    assert seen.calls("execve")["runtime"] >= 1
    assert {phase for phase, _ in seen.executed()} <= {"runtime", "startup", "exec"}


def test_a_container_that_lives_for_a_moment_is_named(busybox_image: Path, tmp_path: Path) -> None:
    short: list[list[object]] = [["call", GETPPID, 23], ["call", 7, 1, 0, 0, 30]]

    def live() -> None:
        with Container(busybox_image, known_spec(*short)) as container:
            container.run()

    seen = recorded(tmp_path, live)
    assert seen.calls("getppid")["startup"] == 23
    assert set(seen.paths.values()) <= {
        "",
        KNOWN,
        "/usr/sbin/runc",
        "memfd:runc_cloned:/proc/self/exe",
        "runc",
    }
    assert [row["name"] for row in seen.workloads.values()] == ["cart-0"]


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_each_of_many_containers_that_live_for_50_ms_is_named(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    # It waits 30 ms; the runtime takes the rest to start and to end it.
    specs = [
        replace(known_spec(["call", GETPPID, 23], ["call", 7, 1, 0, 0, 30]),
                pod=replace(POD, name=f"cart-{number}", uid=POD.uid[:-2] + f"{number:02}"))
        for number in range(20)
    ]  # fmt: skip

    def live() -> None:
        for spec in specs:
            with Container(busybox_image, spec, runtime=runtime) as container:
                assert container.run().returncode == 0

    seen = recorded(tmp_path, live, may_lose=True)
    names = {row["name"] for row in seen.workloads.values()}
    assert names <= {f"cart-{number}" for number in range(20)}
    assert seen.calls("getppid")["startup"] == len(names) * 23
    # On a host where the reader itself gets no processor for 50 ms, that is said.
    assert len(names) == 20 or {row["kind"] for row in seen.rows("losses")} == {"unresolved"}
    assert len(names) >= 15


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_container_that_ran_before_is_seeded(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(["listen", 80], ["handle", 15], ["call", 34, 1], ["call", GETPGRP, 7])
    with Container(busybox_image, spec, runtime=runtime) as container:
        container.start(port=80)

        def live() -> None:
            assert container.exec(KNOWN, "call", str(GETPGRP), "11").returncode == 0
            container.stop()

        seen = recorded(tmp_path, live, "--container", container.container_id[:12])
    assert seen.calls("getpgrp") == {"exec": 11, "shutdown": 7}
    (instance,) = seen.instances.values()
    assert instance["observed"] == "snapshot"
    (before,) = (row for row in seen.rows("processes") if row["observed"] == "snapshot")
    assert seen.paths[before["exe"]] == KNOWN
    assert before["argv"][:3] == [KNOWN.encode(), b"listen", b"80"]
    assert (before["phase"], before["exit_code"]) == ("steady", 0)


def test_a_file_of_the_image_and_a_dropped_one_are_told_apart(
    busybox_image: Path, tmp_path: Path
) -> None:
    script = (
        "cp /bin/busybox /tmp/dropped; echo >> /tmp/dropped; /tmp/dropped true; "
        "cat /bin/busybox > /dev/null; sha256sum /bin/busybox /tmp/dropped"
    )
    with Container(busybox_image, known_spec(["listen", 80], ["call", 34, 1])) as container:
        summed: list[str] = []

        def live() -> None:
            container.start(port=80)
            done = container.exec("sh", "-c", script)
            assert done.returncode == 0
            summed.extend(done.stdout.decode().split()[::2])

        seen = recorded(tmp_path, live)
    executables = {row["path"]: row for row in seen.rows("executables") if row["exe"]}
    image, dropped = (executables[path] for path in (b"/usr/bin/busybox", b"/tmp/dropped"))
    assert (image["upper"], dropped["upper"]) == (False, True)
    assert [image["sha256"], dropped["sha256"]] == summed
    layers = {row["path"]: row["in_image"] for row in seen.rows("files")}
    assert layers[b"/usr/bin/busybox"] == "yes"
    assert layers[b"/tmp/dropped"] == "no"


def test_what_the_overlay_asks_for_itself_is_no_capability_used(
    busybox_image: Path, tmp_path: Path
) -> None:
    def live() -> None:
        with Container(busybox_image, Spec(["ls", "-l", "/bin", "/tmp"], pod=POD)) as container:
            assert container.run().returncode == 0

    seen = recorded(tmp_path, live)
    used = [row for row in seen.rows("privileges") if row["operation"] == "capability"]
    assert [row for row in used if row["phase"] != "runtime"] == []
    assert [row for row in used if row["phase"] == "runtime"] != []


def test_both_ends_of_a_connection_are_seen(
    web_image: Path, network: Network, tmp_path: Path
) -> None:
    server, client = network.attach("server"), network.attach("client")
    fetch = ["curl", "-s", f"http://{server.address}/"]
    shop = Pod(
        namespace="shop",
        name="web-0",
        uid="22222222-2222-4222-8222-222222222222",
        container="nginx",
        image="nginx",
    )
    nginx = Spec(["nginx", "-g", "daemon off;"], netns=server.path, pod=shop)
    curl = Spec(fetch, netns=client.path, pod=POD)

    def live() -> None:
        with Container(web_image, nginx) as one, Container(web_image, curl) as other:
            one.start(port=80)
            assert other.run().returncode == 0
            one.stop(3)

    seen = recorded(tmp_path, live)
    names = {number: row["name"] for number, row in seen.workloads.items()}
    rows = [(names[row["workload"]], row) for row in seen.rows("network")]
    (out,) = (row for name, row in rows if name == "cart-0" and row["direction"] == "out"
              and row["family"] == 2)  # fmt: skip
    (inward,) = (row for name, row in rows if name == "web-0" and row["direction"] == "in")
    assert (out["peer_addr"], out["peer_port"]) == (_packed(server.address), 80)
    assert (inward["peer_addr"], inward["local_port"]) == (_packed(client.address), 80)
    assert inward["peer_port"] is None
    assert seen.paths[inward["exe"]] == "/usr/sbin/nginx"
    assert inward["tx_bytes"] == out["rx_bytes"] > 0
    listening = [row["local_port"] for name, row in rows if row["direction"] == "listen"]
    assert listening == [80]


def _packed(address: object) -> bytes:
    return bytes(int(part) for part in str(address).split("."))
