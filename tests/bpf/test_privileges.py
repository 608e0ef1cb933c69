"""Capabilities that are used, and calls that need privilege."""

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from ethogram.contracts.events import RecordKind
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.tables import ENUMS
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.passable import passable
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
    program = passable(tmp_path) / "program"
    shutil.copy(build_known(), program)
    program.chmod(0o4755)
    dropped = ["setpriv", "--reuid=65534", "--clear-groups", "--", str(program), "call", "110", "1"]
    *_, gained = kernel.run(argv=dropped).execs
    assert gained.path == str(program)
    assert int(gained.head["flags"]) & ProcessFlag.PRIVILEGES_GAINED
    assert (int(gained.head["uid"]), int(gained.head["euid"])) == (65534, 0)
    (plain,) = kernel.run(["call", 110, 1]).execs
    assert not int(plain.head["flags"]) & ProcessFlag.PRIVILEGES_GAINED


NEWUTS, NEWNET, NEWUSER, SIGCHLD = 0x04000000, 0x40000000, 0x10000000, 17
_CLONE = """
import ctypes, os
pid = ctypes.CDLL(None).syscall(56, {flags}, 0, 0, 0, 0)
if pid == 0: os._exit(0)
if pid > 0: os.waitpid(pid, 0)
"""


def _cloned(kernel: Kernel, flags: int, *before: str) -> list[tuple[int, int]]:
    """Return argument and error of each new namespace that a clone with *flags* makes."""
    code = [sys.executable, "-S", "-c", _CLONE.format(flags=flags | SIGCHLD)]
    return _namespaces_cloned(kernel.run(argv=[*before, *code]))


def _namespaces_cloned(seen: Seen) -> list[tuple[int, int]]:
    wanted = ENUMS["operation"].index("clone_namespace")
    return [
        (int(head["argument"]), int(head["errnum"]))
        for batch in seen.drained.records.get(RecordKind.OPERATION, [])
        for head in batch.heads
        if int(head["operation"]) == wanted and seen.phase_of[int(head["slot"])] != "runtime"
    ]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of clone is x86's")
@pytest.mark.parametrize("flags", [NEWUSER, NEWUTS, NEWUTS | NEWNET, NEWUSER | NEWNET])
def test_a_clone_into_new_namespaces_is_one_operation(kernel: Kernel, flags: int) -> None:
    assert _cloned(kernel, flags) == [(flags, 0)]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of clone is x86's")
def test_a_clone_that_may_not_is_an_operation_that_failed(kernel: Kernel) -> None:
    dropped = ["setpriv", "--reuid=65534", "--clear-groups", "--"]
    assert _cloned(kernel, NEWUTS, *dropped) == [(NEWUTS | SIGCHLD, errno.EPERM)]


def test_threads_and_children_are_no_new_namespaces(kernel: Kernel) -> None:
    # The flags of clone3() lie in memory that is long something else when a thread first returns.
    code = (
        "import os, threading\n"
        "threads = [threading.Thread(target=os.getppid) for _ in range(230)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "for _ in range(23): os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\n"
    )
    assert _namespaces_cloned(kernel.run(argv=[sys.executable, "-S", "-c", code])) == []


def test_children_of_one_that_unshared_are_no_new_namespaces(kernel: Kernel) -> None:
    seen = kernel.run(["unshare", 0x20000080], ["fork", 5, [["call", 110, 1]]])
    assert seen.operations["unshare", "", 0] == 1
    assert _namespaces_cloned(seen) == []


def test_mount_namespaces_without_end_take_no_slots_without_end(kernel: Kernel) -> None:
    seen = kernel.run(["repeat", 100, [["unshare", "mnt"], ["call", 110, 1]]])
    assert len(seen.phase_of) < 40
    assert seen.calls("runtime", "startup")["getppid"] == 100
