"""The kernel gives the number of a mount namespace that is gone to the next one.

A container's cgroup outlives its namespaces: until it is removed, nothing says that it ended.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import RecordKind
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import Drained
from tests.bpf.conftest import Kernel
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID = 110
MADE = 77
TRIES = 10  # somebody else of this machine may have been given the number

# Holds every namespace that it makes, so that the next gets another number, until the one that is
# wanted comes; 3 where it does not.
_UNTIL_IT_COMES_AGAIN = f"""
import ctypes, os, sys
libc, held = ctypes.CDLL(None), []
for _ in range(100):
    assert libc.unshare(0x20000) == 0
    if os.stat("/proc/self/ns/mnt").st_ino == int(sys.argv[1]):
        break
    held.append(os.open("/proc/self/ns/mnt", os.O_RDONLY))
else:
    sys.exit(3)
for _ in range({MADE}):
    os.getppid()
"""


@pytest.fixture
def cgroups(kernel: Kernel) -> Iterator[list[Path]]:
    """Three cgroups, of which the first two are recorded."""
    mount = Hierarchy().mount
    assert mount is not None
    made = [mount / f"ethogram-test-{secrets.token_hex(4)}" for _ in range(3)]
    for cgroup in made:
        cgroup.mkdir()
    for cgroup in made[:2]:
        kernel.loader.set_target(cgroup.stat().st_ino, is_recorded=True)
    try:
        yield made
    finally:
        for cgroup in made:
            number = cgroup.stat().st_ino
            cgroup.rmdir()
            kernel.loader.forget(number, kernel.loader.host_mntns, [])


def _in(cgroup: Path, argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _container(cgroup: Path, joins_from: Path) -> int:
    """Run one whose namespace another cgroup joins; return the number once both have ended."""
    with _in(cgroup, known(["unshare", "mnt"], ["ready-fd", 1], ["wait-byte"])) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        mounts = Path(f"/proc/{process.pid}/ns/mnt")
        number = mounts.stat().st_ino
        with _in(joins_from, known(["setns", mounts, "mnt"], ["call", GETPPID, 5])) as joining:
            assert joining.wait(60) == 0
        os.write(process.stdin.fileno(), b"\n")
        assert process.wait(60) == 0
    return number


def _comes_again(cgroups: list[Path], kernel: Kernel, follower: Path) -> tuple[Drained, Drained]:
    """Return the window of the container, and that of the one that got its number."""
    kernel.loader.end_window()
    for _ in range(TRIES):
        number = _container(cgroups[0], cgroups[1])
        before = kernel.loader.end_window()
        argv = [sys.executable, "-S", "-c", _UNTIL_IT_COMES_AGAIN, str(number)]
        with _in(follower, argv) as process:
            status = process.wait(60)
        after = kernel.loader.end_window()
        if status == 0:
            return before, after
        assert status == 3
    pytest.fail("the number never came again")


def _slots(drained: Drained) -> dict[int, int]:
    """Return the cgroup of each slot that came into use."""
    heads = [head for batch in drained.records.get(RecordKind.SLOT, []) for head in batch.heads]
    return {int(head["slot"]): int(head["cgroup_id"]) for head in heads}


def test_who_has_the_number_of_one_that_is_gone_did_not_join_it(
    kernel: Kernel, cgroups: list[Path]
) -> None:
    _, after = _comes_again(cgroups, kernel, cgroups[2])
    assert not len(after.calls)
    assert _slots(after) == {}


def test_who_has_the_number_of_one_that_is_gone_has_a_slot_of_its_own(
    kernel: Kernel, cgroups: list[Path]
) -> None:
    before, after = _comes_again(cgroups, kernel, cgroups[1])
    rows = after.calls[after.calls["nr"] == GETPPID]
    assert int(rows["calls"].sum()) == MADE
    assert not np.isin(rows["slot"], list(_slots(before))).any()
    assert {_slots(after)[int(slot)] for slot in rows["slot"]} == {cgroups[1].stat().st_ino}
