"""What has no container: units, sessions, cgroups of no one, and names that come late.

Their cgroups are made by hand. Nothing but their paths says what they are, so it needs no systemd.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cases.waiting import pause
from tests.e2e.cgroups import made, remove, run_in
from tests.e2e.recorded import GETPGRP, GETPPID, POD, Record, recorded

pytestmark = pytest.mark.e2e

USER = 59_871  # nobody's
RESTARTS = 20
INSIDE = ("unshare", "--mount")  # in a mount namespace of its own, as in a container


@pytest.fixture
def unit() -> str:
    return f"ethogram-{secrets.token_hex(4)}.service"


def names_of(seen: Record) -> set[tuple[str, str, str]]:
    return {(row["kind"], row["name"], row["source"]) for row in seen.workloads.values()}


def calls_by_name(seen: Record, call: str) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in seen.rows("syscalls"):
        if row["name"] == call:
            name = seen.workloads[row["workload"]]["name"]
            counted[name] = counted.get(name, 0) + row["calls"]
    return counted


def test_units_sessions_and_other_cgroups_have_the_names_of_their_paths(
    unit: str, tmp_path: Path
) -> None:
    user, plain = f"/user.slice/user-{USER}.slice", f"/ethogram-{secrets.token_hex(4)}"
    paths = [
        f"/system.slice/{unit}",
        f"{user}/session-3.scope",
        f"{user}/session-4.scope",
        f"{user}/user@{USER}.service/app.slice/app-shop.service",
        plain,
    ]
    with made(*paths) as cgroups:

        def live() -> None:
            for number, cgroup in enumerate(cgroups):
                run_in(cgroup, ["call", GETPGRP, 10 + number])

        choice = [word for path in paths for word in ("--cgroup", path)]
        seen = recorded(tmp_path, live, *choice)
    assert names_of(seen) == {
        ("Unit", unit, "systemd"),
        ("Session", f"user-{USER}", "systemd"),
        ("Unit", f"user@{USER}.service/app-shop.service", "systemd"),
        ("Cgroup", plain, "cgroup"),
    }
    assert calls_by_name(seen, "getpgrp") == {
        unit: 10, f"user-{USER}": 11 + 12, f"user@{USER}.service/app-shop.service": 13, plain: 14,
    }  # fmt: skip
    assert len(seen.instances) == 5  # each session is one


def test_a_unit_is_recorded_alone(unit: str, tmp_path: Path) -> None:
    others = [f"/system.slice/other-{unit}", f"/ethogram-{secrets.token_hex(4)}"]
    with made(f"/system.slice/{unit}", *others) as cgroups:

        def live() -> None:
            for cgroup in cgroups:
                run_in(cgroup, ["call", GETPGRP, 23])

        seen = recorded(tmp_path, live, "--unit", unit.removesuffix(".service"))
    assert calls_by_name(seen, "getpgrp") == {unit: 23}
    assert names_of(seen) == {("Unit", unit, "systemd")}


@pytest.mark.parametrize("tier", ["full", "calls"])
def test_each_start_of_a_unit_is_recorded_from_its_first_call(
    tier: str, unit: str, tmp_path: Path
) -> None:
    with made(f"/system.slice/{unit}") as (cgroup,):

        def live() -> None:
            for _ in range(RESTARTS):
                remove(cgroup)
                cgroup.mkdir()
                run_in(cgroup, ["call", GETPPID, 1], ["call", GETPGRP, 1])

        seen = recorded(tmp_path, live, "--unit", unit, "--tier", tier)
    assert (seen.calls("getppid"), seen.calls("getpgrp")) == (
        {"startup": RESTARTS}, {"startup": RESTARTS},
    )  # fmt: skip
    executed = [path for phase, path in seen.executed() if phase == "startup"]
    assert len(executed) == RESTARTS
    assert names_of(seen) == {("Unit", unit, "systemd")}
    assert len(seen.instances) == RESTARTS


def write_state(directory: Path, cgroup: str) -> None:
    """Write what runc does of a container that containerd started for a pod, in one piece."""
    directory.mkdir()
    labels = [f"{key}={value}" for key, value in POD.annotations().items()]
    state: dict[str, Any] = {
        "id": directory.name,
        "init_process_pid": os.getpid(),
        "cgroup_paths": {"": f"/sys/fs/cgroup/unified{cgroup}"},
        "config": {"labels": labels},
    }
    new = directory / "state.new"
    new.write_text(json.dumps(state))
    new.rename(directory / "state.json")


def test_a_name_that_comes_a_second_late_is_that_of_every_row(tmp_path: Path) -> None:
    container_id = secrets.token_hex(32)
    place = Path("/run/containerd/runc/k8s.io", container_id)
    new = [one for one in reversed(place.parents) if not one.exists()]
    path = f"/system.slice/cri-containerd-{container_id}.scope"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)

        def live() -> None:
            with made(path) as (cgroup,):
                run_in(cgroup, ["call", GETPGRP, 23], ["open", "/etc/passwd", "r"], by=INSIDE)
                pause(1)
                write_state(place, path)
                run_in(cgroup, ["call", GETPPID, 11], by=INSIDE)

        seen = recorded(tmp_path, live, "--namespace", POD.namespace)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # somebody else's container may be there by now
            for one in reversed(new):
                one.rmdir()
    (workload,) = seen.workloads.values()
    assert (workload["kind"], workload["name"]) == ("Pod", POD.name)
    assert (workload["container"], workload["namespace"]) == (POD.container, POD.namespace)
    assert (workload["source"], workload["state"]) == ("cri", "resolved")
    # What came later has a mount namespace of its own: a start like the first, no session.
    assert (seen.calls("getpgrp"), seen.calls("getppid")) == ({"startup": 23}, {"startup": 11})
    assert "/etc/passwd" in {row["path"].decode() for row in seen.rows("files")}
