"""Capabilities that are used, and calls that need privilege."""

import shutil
import sys
from pathlib import Path

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.bpf.conftest import Kernel
from tests.workloads import build_known

pytestmark = pytest.mark.bpf

SETHOSTNAME, CHROOT, CHMOD, SETUID = 170, 161, 90, 105


def test_a_used_capability_is_named(kernel: Kernel) -> None:
    seen = kernel.run(["unshare", "uts"])
    assert ("CAP_SYS_ADMIN", True) in seen.capabilities
    assert seen.operations["unshare", "", 0] == 1


def test_memory_alone_uses_no_capability(kernel: Kernel) -> None:
    seen = kernel.run(["call", 9, 5, 0, 4096, 3, 34, -1, 0], ["fork", 5, [["call", 110, 1]]])
    assert seen.capabilities == set()


def test_a_chroot_has_its_target(kernel: Kernel) -> None:
    seen = kernel.run(["call", CHROOT, 1, "@/tmp"])
    assert seen.operations["chroot", "/tmp", 0] == 1
    assert ("CAP_SYS_CHROOT", True) in seen.capabilities


def test_a_refused_operation_keeps_its_errno(kernel: Kernel) -> None:
    seen = kernel.run(["call", CHROOT, 1, "@/nonexistent"])
    assert seen.operations["chroot", "/nonexistent", 2] == 1


def test_a_change_of_user_is_an_operation(kernel: Kernel) -> None:
    assert kernel.run(["call", SETUID, 1, 1000]).operations["set_user", "", 0] == 1


def test_a_target_that_is_cut_is_a_loss(kernel: Kernel) -> None:
    seen = kernel.run(["call", CHROOT, 1, "@/" + "x" * 300])
    assert ("truncated", "privileges", 1) in seen.losses


def test_an_exec_that_gains_privileges_says_so(kernel: Kernel, tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)
    program = tmp_path / "program"
    shutil.copy(build_known(), program)
    program.chmod(0o4755)
    dropped = ["setpriv", "--reuid=65534", "--clear-groups", "--", str(program), "call", "110", "1"]
    *_, gained = kernel.run(argv=dropped).execs
    assert gained.path == str(program)
    assert int(gained.head["flags"]) & ProcessFlag.PRIVILEGES_GAINED
    assert (int(gained.head["uid"]), int(gained.head["euid"])) == (65534, 0)
    (plain,) = kernel.run(["call", 110, 1]).execs
    assert not int(plain.head["flags"]) & ProcessFlag.PRIVILEGES_GAINED


RING = "import ctypes; raise SystemExit(ctypes.CDLL(None).syscall(425, 4, bytes(120)) < 0)"


def test_a_ring_of_requests_is_an_operation_and_makes_files_incomplete(kernel: Kernel) -> None:
    seen = kernel.run(argv=[sys.executable, "-S", "-c", RING])
    assert seen.operations["io_uring_setup", "", 0] == 1
    assert ("unseen", "files", 1) in seen.losses


def test_mount_namespaces_without_end_take_no_slots_without_end(kernel: Kernel) -> None:
    seen = kernel.run(["repeat", 100, [["unshare", "mnt"], ["call", 110, 1]]])
    assert len(seen.phase_of) < 40
    assert seen.calls("runtime", "startup")["getppid"] == 100
