"""System calls are counted exactly, under their own architecture, with their errors and order."""

import errno
import sys

import pytest

from tests.bpf.conftest import Kernel
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, GETPID, I386_GETPPID = 110, 39, 64
SIX = ("getppid",) * 6


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


def test_a_sequence_survives_an_exec(kernel: Kernel) -> None:
    again = known(["call", GETPID, 1])
    seen = kernel.run(["call", GETPPID, 5], ["exec", *again])
    assert (*SIX[:4], "execve", "getpid") in seen.grams
    assert ("-", "-", "-", "-", "-", "getpid") not in seen.grams


def test_a_thread_has_a_sequence_of_its_own(kernel: Kernel) -> None:
    seen = kernel.run(["call", GETPPID, 5], ["thread", 2, [["call", GETPID, 2]]])
    assert ("-", "-", "-", "-", "getpid", "getpid") in seen.grams
    assert ("-", "-", "-", "getpid", "getpid", "exit") in seen.grams
    assert (*SIX[:3], "clone", "clone", "exit_group") in seen.grams
    assert not [gram for gram in seen.grams if {"getppid", "getpid"} <= set(gram)]


def test_a_sequence_is_reported_again_in_the_next_window(kernel: Kernel) -> None:
    windows = kernel.run_in_windows(*[[["call", GETPPID, 23]]] * 3)
    assert [SIX in seen.grams for seen in windows] == [True, True, True]
    # A sequence does not begin anew where a window does.
    assert (*SIX[:3], "write", "read", "getppid") not in windows[0].grams
    assert (*SIX[:3], "write", "read", "getppid") in windows[1].grams


def test_a_sequence_that_ended_is_not_reported_again(kernel: Kernel) -> None:
    first, second = kernel.run_in_windows([["call", GETPPID, 23]], [["call", GETPID, 23]])
    assert SIX in first.grams
    assert SIX not in second.grams
    assert ("getpid",) * 6 in second.grams


def test_a_sequence_is_reported_in_each_phase(kernel: Kernel) -> None:
    seen = kernel.run(["call", GETPPID, 23], ["listen", 0], ["call", GETPPID, 23])
    assert {phase for phase, _, gram in seen.grams_with_phase if gram == SIX} == {
        "startup",
        "steady",
    }


def test_sequences_of_two_tables_do_not_mix(kernel: Kernel) -> None:
    seen = kernel.run(
        ["call", GETPID, 7], ["int80", I386_GETPPID, 7], ["x32", GETPPID, 7], ["call", GETPID, 1]
    )
    found = {(arch, gram) for _, arch, gram in seen.grams_with_phase}
    for arch in ("i386", "x32"):
        # It begins anew with the first call of another table, and holds that table's alone.
        grams = {gram for one, gram in found if one == arch}
        assert grams == {("-",) * (6 - size) + SIX[:size] for size in range(1, 7)}
    assert ("x86_64", ("-", "-", "-", "-", "-", "getpid")) in found
    assert not [gram for arch, gram in found if arch == "x86_64" and "getppid" in gram]


def test_what_a_signal_interrupted_is_no_error_of_the_return_from_it(kernel: Kernel) -> None:
    code = (
        "import signal; signal.signal(signal.SIGALRM, lambda *_: None)\n"
        "for _ in range(7): signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause()"
    )
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    assert seen.calls()["rt_sigreturn"] == 7
    assert not [name for name, _ in seen.errors if name == "rt_sigreturn"]
