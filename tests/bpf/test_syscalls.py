"""System calls are counted exactly, under their own architecture, with their errors and order."""

import errno
import sys

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

GETPPID, GETPID, I386_GETPPID = 110, 39, 64


def test_no_call_is_lost_or_doubled(kernel: Kernel) -> None:
    seen = kernel.run(["call", GETPPID, 23])
    assert seen.calls() == {"getppid": 23, "exit_group": 1}
    assert seen.losses == []


def test_calls_of_children_and_threads_are_counted(kernel: Kernel) -> None:
    seen = kernel.run(["fork", 23, [["call", GETPPID, 1]]], ["thread", 23, [["call", GETPID, 1]]])
    assert seen.calls()["getppid"] == 23
    assert seen.calls()["getpid"] == 23


def test_a_compat_call_keeps_its_own_table(kernel: Kernel) -> None:
    seen = kernel.run(["int80", I386_GETPPID, 23], ["call", GETPPID, 3])
    assert seen.calls(arch="i386") == {"getppid": 23}
    assert seen.calls()["getppid"] == 3


def test_an_x32_call_keeps_its_own_table(kernel: Kernel) -> None:
    seen = kernel.run(["x32", GETPPID, 23])
    assert seen.calls(arch="x32") == {"getppid": 23}
    assert "getppid" not in seen.calls()


def test_a_number_that_is_no_call_is_counted_under_its_number(kernel: Kernel) -> None:
    assert kernel.run(["call", 100_000, 23]).calls()["100000"] == 23


def test_errors_are_counted_by_call_and_errno(kernel: Kernel) -> None:
    seen = kernel.run(["call", 3, 23, 999], ["call", 100_000, 1])
    assert seen.errors["close", errno.EBADF] == 23
    assert seen.errors["?", errno.ENOSYS] == 1


def test_a_thread_s_last_six_calls_are_a_set(kernel: Kernel) -> None:
    seen = kernel.run(["call", GETPPID, 23], ["call", GETPID, 1])
    expected = {
        ("-", "-", "-", "-", "execve", "getppid"),
        ("getppid", "getppid", "getppid", "getppid", "getppid", "getppid"),
        ("getppid", "getppid", "getppid", "getppid", "getppid", "getpid"),
        ("getppid", "getppid", "getppid", "getppid", "getpid", "exit_group"),
    }
    # The first calls of the forked harness precede the exec: its sequence survives it.
    ours = {gram for gram in seen.grams if set(gram) <= {"getppid", "getpid", "exit_group"}}
    assert expected - {("-", "-", "-", "-", "execve", "getppid")} == ours
    assert any(gram[-2:] == ("execve", "getppid") for gram in seen.grams)


def test_a_sequence_starts_anew_in_a_child(kernel: Kernel) -> None:
    seen = kernel.run(["fork", 1, [["call", GETPPID, 1]]])
    assert ("-", "-", "-", "-", "-", "getppid") in seen.grams


def test_what_a_signal_interrupted_is_no_error_of_the_return_from_it(kernel: Kernel) -> None:
    code = (
        "import signal; signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "for _ in range(7): signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause()"
    )
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    assert seen.calls()["rt_sigreturn"] == 7
    assert not [name for name, _ in seen.errors if name == "rt_sigreturn"]
