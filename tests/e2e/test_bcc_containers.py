"""A container recorded through BCC: named as ever, in one phase that is `unknown`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.containers import Container
from demo.oci import Pod, Spec, bind
from ethogram.contracts.baseline import load_baselines
from ethogram.contracts.recording import Recording
from ethogram.errors import PreflightError
from profiler.loaders.bcc_host import bcc_module, kernel_source
from tests.e2e.command_line import ethogram, running
from tests.workloads import known

pytestmark = pytest.mark.e2e

KNOWN, GETPGRP, PAUSE = "/known", 111, 34
POD = Pod(
    namespace="shop", name="cart-0", uid="11111111-1111-4111-8111-111111111111", container="cart",
    image="cart:1",
)  # fmt: skip
TRACEFS = Path("/sys/kernel/tracing")


@pytest.fixture(autouse=True)
def _bcc() -> Iterator[None]:
    """Skip where BCC cannot compile; mount tracefs where nothing has, and leave it as it was."""
    try:
        bcc_module()
        with kernel_source():
            pass
    except PreflightError as error:
        pytest.skip(f"{error.message}; {error.hint}")
    if (TRACEFS / "events").is_dir():
        yield
        return
    subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACEFS)], check=True)
    yield
    subprocess.run(["umount", str(TRACEFS)], check=True)


def test_a_container_is_named_and_its_calls_are_counted(
    busybox_image: Path, tmp_path: Path
) -> None:
    program, *words = known(
        ["call", GETPGRP, 23], ["listen", 80], ["handle", 15], ["call", PAUSE, 1]
    )  # fmt: skip
    spec = Spec([KNOWN, *words], mounts=[bind(Path(program), KNOWN)], pod=POD)
    target = tmp_path / "recording"
    options = ("--loader", "bcc", "-o", target, "--namespace", "shop", "--window", "500ms")
    with running("record", *options, ready=tmp_path / "ready") as process:
        with Container(busybox_image, spec) as container:
            container.start(port=80)
            for _ in range(3):
                assert container.exec(KNOWN, "call", str(GETPGRP), "1").returncode == 0
            container.stop()
        process.terminate()
        _, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    assert "nothing lost" in messages
    recording = Recording.open(target)
    (workload,) = recording.table("workloads").to_pylist()
    assert (workload["namespace"], workload["name"], workload["container"]) == (
        "shop", "cart-0", "cart",
    )  # fmt: skip
    rows = recording.table("syscalls").to_pylist()
    assert [row["calls"] for row in rows if row["name"] == "getpgrp"] == [23 + 3]
    assert {row["phase"] for row in rows} == {"unknown"}
    listened = [row["local_port"] for row in recording.table("network").to_pylist()]
    assert listened == [80]
    (instance,) = recording.table("instances").to_pylist()
    assert instance["mntns"] is None
    paths = {row["path"] for row in recording.table("executables").to_pylist()}
    assert KNOWN.encode() in paths
    assert (
        ethogram("learn", "--allow", "thin,lossy", target, "-o", tmp_path / "baselines").returncode
        == 0
    )
    ((_, baseline),) = load_baselines(tmp_path / "baselines")
    assert baseline.observation.not_observed == ("files", "dns", "capabilities", "operations")
    policies = tmp_path / "policies"
    words = ("--to", "admission", "--allow", "thin,lossy,enforced", "-o", policies)
    done = ethogram("export", tmp_path / "baselines", *words)
    assert done.returncode == 6, done.stderr
    assert "recorded without a look at files and capabilities" in done.stderr
    assert not policies.exists()
