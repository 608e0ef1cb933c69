"""Phases come from what happens, whatever the runtime is called and however it is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.containers import COMMANDS, Container
from profiler.identity.hierarchy import Hierarchy
from tests.e2e.engines import Podman, without_traces
from tests.e2e.recorded import GETPGRP, KNOWN, known_spec, known_words, recorded
from tests.workloads import known

pytestmark = pytest.mark.e2e

POLL, PAUSE = 7, 34
runtimes = pytest.mark.parametrize("runtime", ["runc", "crun"])
privileges = pytest.mark.parametrize("no_new_privileges", [True, False], ids=["nnp", "no-nnp"])


@runtimes
@privileges
def test_a_workload_is_steady_once_it_waits_for_work(
    runtime: str, no_new_privileges: bool, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(
        # A short wait is none, and to wait for a child is what entrypoints do.
        ["call", GETPGRP, 5], ["call", POLL, 1, 0, 0, 20], ["call", GETPGRP, 6],
        ["spawn", "/bin/sleep", "0.6"], ["call", GETPGRP, 7],
        ["call", POLL, 1, 0, 0, 600], ["call", GETPGRP, 23],
        no_new_privileges=no_new_privileges,
    )  # fmt: skip

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert container.run().returncode == 0

    assert recorded(tmp_path, live).calls("getpgrp") == {"startup": 18, "steady": 23}


@runtimes
def test_startup_takes_as_long_as_allowed_at_most(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(["call", GETPGRP, 5], ["spawn", "/bin/sleep", "2"], ["call", GETPGRP, 23])

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert container.run().returncode == 0

    seen = recorded(tmp_path, live, "--namespace", "shop", "--startup", "1s")
    assert seen.calls("getpgrp") == {"startup": 5, "steady": 23}


@runtimes
@pytest.mark.parametrize(
    ("no_new_privileges", "shared"),
    [(True, ()), (False, ()), (True, ("pid",))],
    ids=["nnp", "no-nnp", "host-pids"],
)
def test_a_session_is_its_own_phase_with_all_that_it_starts(
    runtime: str, no_new_privileges: bool, shared: tuple[str, ...], busybox_image: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    # It has neither listened nor waited for work yet: sessions come while it starts up.
    spec = known_spec(
        ["call", GETPGRP, 5], ["handle", 15], ["call", PAUSE, 1], ["call", GETPGRP, 7],
        no_new_privileges=no_new_privileges, host_namespaces=shared,
    )  # fmt: skip
    inside: list[object] = ["call", GETPGRP, 1]
    session = known_words(
        ["fork", 3, [inside]], ["thread", 4, [inside]], ["listen", 81],
        ["spawn", *known_words(inside)], ["call", POLL, 1, 0, 0, 600], ["repeat", 15, [inside]],
    )  # fmt: skip

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            container.start()
            assert container.exec(*session).returncode == 0
            container.stop()

    seen = recorded(tmp_path, live)
    # What a session does, a listen and a wait for work, makes nothing steady.
    assert seen.calls("getpgrp") == {"startup": 5, "exec": 23, "shutdown": 7}
    rows = {row["exec_id"]: row for row in seen.rows("processes") if row["phase"] == "exec"}
    assert len(rows) == 5  # its own, three children and the command
    assert len({row["session_exec_id"] for row in rows.values()}) == 1
    assert next(iter(rows.values()))["session_exec_id"] in rows


def test_a_runtime_may_be_called_what_it_likes(
    busybox_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.which("runc", path="/usr/sbin:/usr/bin")
    assert path
    launcher = tmp_path / "launcher"
    shutil.copy(path, launcher)
    monkeypatch.setitem(COMMANDS, "launcher", (str(launcher),))
    spec = known_spec(
        ["call", GETPGRP, 5], ["listen", 80], ["call", GETPGRP, 23], ["call", PAUSE, 1]
    )

    def live() -> None:
        with Container(busybox_image, spec, runtime="launcher") as container:
            container.start(port=80)
            assert container.exec(*known_words(["call", GETPGRP, 11])).returncode == 0

    seen = recorded(tmp_path, live)
    assert seen.calls("getpgrp") == {"startup": 5, "steady": 23, "exec": 11}
    assert seen.calls("execve")["runtime"] >= 1


@pytest.fixture(params=["runc", "crun"])
def podman(request: pytest.FixtureRequest, tmp_path: Path, busybox_image: Path) -> Iterator[Podman]:
    if not shutil.which("podman"):
        pytest.skip("not installed: podman")
    directory = tmp_path / "podman"
    directory.mkdir()
    with Podman(directory, request.param).with_image(busybox_image) as podman:
        yield podman


def test_a_container_of_podman_has_its_phases(podman: Podman, tmp_path: Path) -> None:
    program, *words = known(
        ["call", GETPGRP, 5], ["handle", 15], ["listen", 80], ["call", GETPGRP, 23],
        ["call", PAUSE, 1], ["call", GETPGRP, 7],
    )  # fmt: skip
    options = ("--name", "web", "--volume", f"{program}:{KNOWN}:ro", "--entrypoint", KNOWN)

    mount = Hierarchy().mount
    assert mount is not None
    parent = mount / f"ethogram-podman-{os.getpid()}"
    options = (*options, "--cgroup-parent", f"/{parent.name}")

    def live() -> None:
        with podman.container(*options, command=words) as (_, _):
            podman("exec", "web", *known_words(["call", GETPGRP, 11]))
            podman("stop", "--time", "10", "web")

    with without_traces(cgroups=[parent.name]):
        parent.mkdir()
        seen = recorded(tmp_path, live, "--cgroup", f"/{parent.name}")
    assert seen.calls("getpgrp") == {"startup": 5, "steady": 23, "exec": 11, "shutdown": 7}
    assert seen.calls("mount").keys() == {"runtime"}
    (workload,) = seen.workloads.values()
    assert (workload["name"], workload["source"]) == ("web", "podman")
