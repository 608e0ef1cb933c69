"""What a container's own profile refused: who asked, in which phase, by which table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from demo.containers import Container
from tests.e2e.recorded import GETPGRP, KNOWN, Record, known_spec, known_words, recorded

pytestmark = pytest.mark.e2e

I386_GETPGRP, EPERM, ENOSYS = 65, 1, 38
ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
runtimes = pytest.mark.parametrize("runtime", ["runc", "crun"])


def refusing(name: str, action: str = "SCMP_ACT_ERRNO", **rule: int) -> dict[str, object]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ARCHITECTURES,
        "syscalls": [{"names": [name], "action": action, **rule}],
    }


def denied(seen: Record) -> Counter[tuple[str, str, int, str, int | None]]:
    """Return (phase, architecture, number, action, errno) -> how often."""
    counted: Counter[tuple[str, str, int, str, int | None]] = Counter()
    for row in seen.rows("denied"):
        key = (row["phase"], row["arch"], row["nr"], row["action"], row["errno"])
        counted[key] += row["calls"]
    return counted


@runtimes
@pytest.mark.parametrize("no_new_privileges", [True, False], ids=["nnp", "no-nnp"])
def test_a_refused_call_has_its_phase_and_its_exec(
    runtime: str, no_new_privileges: bool, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(
        ["call", GETPGRP, 5], ["listen", 80], ["call", GETPGRP, 23], ["handle", 15],
        ["call", 34, 1], ["call", GETPGRP, 7],
        seccomp=refusing("getpgrp", errnoRet=ENOSYS), no_new_privileges=no_new_privileges,
    )  # fmt: skip

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            container.start(port=80)
            session = known_words(["expect", -ENOSYS, "call", GETPGRP, 11])
            assert container.exec(*session).returncode == 0
            container.stop()

    seen = recorded(tmp_path, live)
    assert denied(seen) == {
        (phase, "x86_64", GETPGRP, "errno", ENOSYS): count
        for phase, count in {"startup": 5, "steady": 23, "exec": 11, "shutdown": 7}.items()
    }
    assert seen.calls("getpgrp") == {}
    execs = {row["exec_id"]: row for row in seen.rows("processes")}
    asked = {row["phase"]: execs[row["exec_id"]] for row in seen.rows("denied")}
    assert {seen.paths[row["exe"]] for row in asked.values()} == {KNOWN}
    assert asked["startup"] == asked["steady"] == asked["shutdown"]
    assert asked["exec"]["argv"][1] == b"expect"


@runtimes
def test_refusals_of_threads_children_and_other_tables_are_counted_apart(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    native: list[object] = ["call", GETPGRP, 7]
    spec = known_spec(
        ["thread", 3, [native]], ["fork", 2, [native]], ["int80", I386_GETPGRP, 23],
        ["x32", GETPGRP, 29],
        seccomp=refusing("getpgrp"),
    )  # fmt: skip

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert container.run().returncode == 0

    assert denied(recorded(tmp_path, live)) == {
        ("startup", "x86_64", GETPGRP, "errno", EPERM): 35,
        ("startup", "i386", I386_GETPGRP, "errno", EPERM): 23,
        ("startup", "x32", GETPGRP, "errno", EPERM): 29,
    }


@runtimes
@pytest.mark.parametrize(
    ("action", "kind"),
    [("SCMP_ACT_KILL_PROCESS", "kill"), ("SCMP_ACT_KILL", "kill"), ("SCMP_ACT_TRAP", "trap")],
)
def test_who_is_killed_for_a_call_made_it(
    runtime: str, action: str, kind: str, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(["call", GETPGRP, 1], seccomp=refusing("getpgrp", action))

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert container.run().returncode != 0

    assert denied(recorded(tmp_path, live)) == {("startup", "x86_64", GETPGRP, kind, None): 1}


@runtimes
def test_a_storm_of_refusals_over_many_windows_is_counted_whole(
    runtime: str, busybox_image: Path, tmp_path: Path
) -> None:
    spec = known_spec(["call", GETPGRP, 5_000_011], seccomp=refusing("getpgrp"))

    def live() -> None:
        with Container(busybox_image, spec, runtime=runtime) as container:
            assert container.run().returncode == 0

    seen = recorded(tmp_path, live)
    assert denied(seen) == {("startup", "x86_64", GETPGRP, "errno", EPERM): 5_000_011}
    assert seen.rows("losses") == []
