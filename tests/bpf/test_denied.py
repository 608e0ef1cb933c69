"""Calls that seccomp refused are seen, and nothing else is taken for one."""

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

GETPPID, EPERM, ENOSYS = 110, 1, 38


@pytest.mark.parametrize("number", [EPERM, ENOSYS])
def test_an_errno_is_a_denial(kernel: Kernel, number: int) -> None:
    seen = kernel.run(["seccomp", GETPPID, "errno", number], ["call", GETPPID, 23])
    assert seen.denied == {("getppid", "errno", number): 23}
    assert "getppid" not in seen.calls()


def test_errno_0_is_a_denial(kernel: Kernel) -> None:
    seen = kernel.run(["seccomp", GETPPID, "errno", 0], ["call", GETPPID, 23])
    assert seen.denied == {("getppid", "errno", 0): 23}


def test_a_trap_is_a_denial(kernel: Kernel) -> None:
    seen = kernel.run(["handle", 31], ["seccomp", GETPPID, "trap"], ["call", GETPPID, 23])
    assert seen.denied == {("getppid", "trap", None): 23}


@pytest.mark.parametrize("action", ["kill-process", "kill-thread"])
def test_a_kill_is_one_denial(kernel: Kernel, action: str) -> None:
    seen = kernel.run(["seccomp", GETPPID, action], ["call", GETPPID, 1])
    assert seen.denied == {("getppid", "kill", None): 1}


def test_strict_mode_is_a_denial(kernel: Kernel) -> None:
    seen = kernel.run(["strict"], ["call", GETPPID, 1])
    assert seen.denied == {("getppid", "kill", None): 1}


def test_trace_without_a_tracer_is_a_denial(kernel: Kernel) -> None:
    seen = kernel.run(["seccomp", GETPPID, "trace"], ["call", GETPPID, 1])
    assert seen.denied == {("getppid", "errno", ENOSYS): 1}


def test_a_logged_call_is_no_denial(kernel: Kernel) -> None:
    seen = kernel.run(["seccomp", GETPPID, "log"], ["call", GETPPID, 23])
    assert not seen.denied
    assert seen.calls()["getppid"] == 23


def test_a_child_s_very_first_call_is_caught(kernel: Kernel) -> None:
    seen = kernel.run(["seccomp", GETPPID, "errno", EPERM], ["fork", 23, [["call", GETPPID, 1]]])
    assert seen.denied == {("getppid", "errno", EPERM): 23}


@pytest.mark.parametrize(
    "action",
    [
        ["fork", 23, [["call", GETPPID, 1]]],
        ["thread", 23, [["call", GETPPID, 1]]],
        ["vfork", "/bin/true"],
        ["spawn", "/bin/true"],
        ["raise", 10],
    ],
    ids=["fork", "thread", "vfork", "spawn", "signal"],
)
def test_what_looks_like_a_refusal_is_none(kernel: Kernel, action: list[object]) -> None:
    seen = kernel.run(["handle", 10], ["seccomp", 100, "errno", EPERM], action)
    assert not seen.denied
