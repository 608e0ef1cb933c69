"""What the arguments of a few calls were is counted exactly, whether the call succeeded or not."""

from __future__ import annotations

import sys

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

MPROTECT, IOCTL, SOCKET, CLONE, PERSONALITY, PRCTL, PKEY_MPROTECT = 10, 16, 41, 56, 135, 157, 329
GETPPID, I386_IOCTL = 110, 54
HIGH = 0x5EED << 32
FIONREAD, NO_REQUEST = 0x541B, 0xFFFF1234
AF_UNIX, AF_INET, AF_NETLINK = 1, 2, 16
QUOTA = 256


def test_each_call_has_its_own_argument(kernel: Kernel) -> None:
    seen = kernel.run(
        ["call", SOCKET, 3, AF_UNIX, 1],
        ["call", SOCKET, 2, AF_NETLINK, 3],
        ["call", PERSONALITY, 2, 0xFFFFFFFF],
        ["call", IOCTL, 23, 0, FIONREAD],
        ["call", PRCTL, 5, 3],
        ["call", MPROTECT, 7, 0, 0, 5],
        ["call", PKEY_MPROTECT, 2, 0, 0, 1],
    )
    assert seen.arguments == {
        "socket": {AF_UNIX: 3, AF_NETLINK: 2},
        "personality": {0xFFFFFFFF: 2},
        "ioctl": {FIONREAD: 23},
        "prctl": {3: 5},
        "mprotect": {5: 7},
        "pkey_mprotect": {1: 2},
    }
    assert seen.losses == []


def test_looked_at_calls_are_counted_like_any_other(kernel: Kernel) -> None:
    seen = kernel.run(["call", IOCTL, 23, 0, FIONREAD], ["call", GETPPID, 5], ["call", PRCTL, 2, 3])
    assert seen.calls() == {"ioctl": 23, "getppid": 5, "prctl": 2, "exit_group": 1}


def test_a_call_that_fails_counts(kernel: Kernel) -> None:
    seen = kernel.run(["call", SOCKET, 23, 999, 1], ["call", IOCTL, 2, 999, NO_REQUEST])
    assert seen.arguments == {"socket": {999: 23}, "ioctl": {NO_REQUEST: 2}}


def test_bits_that_the_kernel_does_not_read_are_not_told(kernel: Kernel) -> None:
    seen = kernel.run(
        ["call", SOCKET, 1, HIGH | AF_INET, 1],
        ["call", IOCTL, 1, 0, HIGH | FIONREAD],
        ["call", PRCTL, 1, HIGH | 3],
        ["call", MPROTECT, 1, 0, 0, HIGH | 1],
    )
    assert seen.arguments["socket"] == {AF_INET: 1}
    assert seen.arguments["ioctl"] == {FIONREAD: 1}
    assert seen.arguments["prctl"] == {3: 1}
    assert seen.arguments["mprotect"] == {HIGH | 1: 1}  # it does: and refuses


def test_a_clone_is_told_by_the_namespaces_that_it_makes(kernel: Kernel) -> None:
    # Refused for want of a signal handler's table to share: CLONE_SIGHAND without CLONE_VM.
    namespaces = 0x7E020000
    seen = kernel.run(
        ["call", CLONE, 2, 0x800 | 0x11], ["call", CLONE, 3, 0x800 | 0x11 | namespaces]
    )
    assert seen.arguments == {"clone": {0: 2, namespaces: 3}}


def test_a_process_that_was_just_made_is_looked_at_from_its_first_call(kernel: Kernel) -> None:
    seen = kernel.run(["fork", 7, [["call", PRCTL, 1, 3]]], ["thread", 5, [["call", PRCTL, 1, 4]]])
    assert seen.arguments["prctl"] == {3: 7, 4: 5}
    assert seen.arguments["clone"] == {0: 5}


def test_a_call_of_another_table_is_counted_without_its_argument(kernel: Kernel) -> None:
    seen = kernel.run(["int80", I386_IOCTL, 3, 0, FIONREAD], ["x32", PRCTL, 2, 3])
    assert seen.arguments == {}
    assert seen.calls(arch="i386") == {"ioctl": 3}
    assert seen.calls(arch="x32") == {"prctl": 2}


def test_more_values_than_are_told_are_others_and_no_loss(kernel: Kernel) -> None:
    code = (
        "import ctypes; call = ctypes.CDLL(None).syscall\n"
        f"for value in range(1 << 20, (1 << 20) + 1000): call({IOCTL}, 999, value)\n"
        f"for _ in range(7): call({IOCTL}, 999, 1 << 20)"
    )
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    told = seen.arguments["ioctl"]
    ours = {value: calls for value, calls in told.items() if value is None or value >= 1 << 20}
    assert ours[1 << 20] == 8
    assert sum(ours.values()) == 1007
    every = [value for values in seen.arguments.values() for value in values if value is not None]
    assert len(every) == QUOTA
    assert seen.losses == []


def test_the_quota_is_a_workload_s_own(kernel: Kernel) -> None:
    one = kernel.run(*[["call", IOCTL, 1, 999, value] for value in range(300)])
    other = kernel.run(["call", IOCTL, 1, 999, 5])
    assert one.arguments["ioctl"][None] == 300 - QUOTA
    assert other.arguments == {"ioctl": {5: 1}}


def test_a_value_is_told_again_in_the_next_window(kernel: Kernel) -> None:
    first, second = kernel.run_in_windows(
        [["call", PRCTL, 3, 3], ["call", PRCTL, 1, 4]], [["call", PRCTL, 2, 3]]
    )
    assert first.arguments == {"prctl": {3: 3, 4: 1}}
    assert second.arguments == {"prctl": {3: 2}}
