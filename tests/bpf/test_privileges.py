"""Capabilities that are used, and calls that need privilege."""

import pytest

from tests.bpf.conftest import Kernel

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
