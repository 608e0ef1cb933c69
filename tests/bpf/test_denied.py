"""Calls that seccomp refused are seen, and nothing else is taken for one."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, EPERM, ENOSYS = 110, 1, 38
UNRELATED = ["seccomp", 100, "errno", EPERM]


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


@pytest.mark.parametrize("call", [["x32", GETPPID, 23], ["int80", 64, 23]], ids=["x32", "i386"])
def test_a_refused_call_keeps_its_own_table(kernel: Kernel, call: list[object]) -> None:
    number = GETPPID | 0x40000000 if call[0] == "x32" else 64
    seen = kernel.run(["seccomp", number, "errno", EPERM], call)
    assert seen.denied == {("getppid", "errno", EPERM): 23}
    assert {arch for arch, _ in seen.denied_calls} == {"x32" if call[0] == "x32" else "i386"}


def test_every_thread_s_refusals_are_counted(kernel: Kernel) -> None:
    inner: list[object] = ["repeat", 7, [["call", GETPPID, 1], ["call", 39, 1]]]
    seen = kernel.run(["seccomp", GETPPID, "errno", EPERM], ["thread", 23, [inner]], inner)
    assert seen.denied == {("getppid", "errno", EPERM): 7 * 24}
    assert seen.calls()["getpid"] == 7 * 24


def test_a_storm_of_refusals_is_counted_whole(kernel: Kernel) -> None:
    seen = kernel.run(["seccomp", GETPPID, "errno", EPERM], ["call", GETPPID, 1_000_003])
    assert seen.denied == {("getppid", "errno", EPERM): 1_000_003}
    assert seen.losses == []


def test_what_a_tracer_lets_pass_is_no_denial(kernel: Kernel) -> None:
    traced: list[object] = ["traced", "allow", [["call", GETPPID, 23]]]
    seen = kernel.run(["seccomp", GETPPID, "trace"], traced)
    assert not seen.denied
    assert seen.calls()["getppid"] == 23


def test_what_a_tracer_cancels_is_the_tracer_s(kernel: Kernel) -> None:
    traced: list[object] = ["traced", "cancel", [["expect", 42, "call", GETPPID, 23]]]
    seen = kernel.run(["seccomp", GETPPID, "trace"], traced)
    assert not seen.denied
    assert "getppid" not in seen.calls()


@pytest.mark.parametrize("how", ["answer", "refuse"])
def test_what_a_notifier_answers_is_the_notifier_s(kernel: Kernel, how: str) -> None:
    value = {"answer": 42, "refuse": -EPERM}[how]
    seen = kernel.run(["notify", GETPPID, how, [["expect", value, "call", GETPPID, 23]]])
    assert not seen.denied
    assert "getppid" not in seen.calls()


def test_what_a_notifier_lets_pass_is_no_denial(kernel: Kernel) -> None:
    seen = kernel.run(["notify", GETPPID, "continue", [["call", GETPPID, 23]]])
    assert not seen.denied
    assert seen.calls()["getppid"] == 23


def test_what_is_emulated_or_dispatched_is_no_denial(kernel: Kernel) -> None:
    emulated: list[object] = ["traced", "emulate", [["call", GETPPID, 23]]]
    seen = kernel.run(UNRELATED, ["user-dispatch", GETPPID, 23], emulated)
    assert not seen.denied
    assert "getppid" not in seen.calls()
    assert seen.calls()["rt_sigreturn"] == 23


# Interrupted by a handler and begun again; and stopped and resumed by `restart_syscall`.
_RESTARTED = """
import os, signal, time
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
reading, writing = os.pipe()
if not os.fork():
    for _ in range(7):
        time.sleep(0.02)
        os.kill(os.getppid(), signal.SIGALRM)
    os.write(writing, b"x")
    os._exit(0)
os.read(reading, 1)
os.wait()
sleeper = os.fork()
if not sleeper:
    time.sleep(0.3)
    os._exit(0)
for _ in range(7):
    time.sleep(0.01)
    os.kill(sleeper, signal.SIGSTOP)
    os.waitpid(sleeper, os.WUNTRACED)
    os.kill(sleeper, signal.SIGCONT)
os.waitpid(sleeper, 0)
"""


def test_a_call_that_is_begun_again_is_no_denial(kernel: Kernel) -> None:
    seen = kernel.run(UNRELATED, ["exec", sys.executable, "-S", "-c", _RESTARTED])
    assert not seen.denied
    assert seen.calls()["rt_sigreturn"] == 7
    assert seen.calls()["restart_syscall"] + seen.calls()["clock_nanosleep"] > 7


def test_a_call_that_was_under_way_when_recording_began_is_no_denial() -> None:
    mount = Hierarchy().mount
    assert mount is not None
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    command = known(UNRELATED, ["ready-fd", 1], ["wait-byte"], ["call", GETPPID, 23])
    loader = CoreLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            (cgroup / "cgroup.procs").write_text(f"{process.pid}")
            assert process.stdout.read(1) == b"\n"
            while not Path(f"/proc/{process.pid}/syscall").read_text().startswith("0 "):
                os.sched_yield()
            loader.attach(lambda: loader.set_target(cgroup.stat().st_ino, is_recorded=True))
            loader.arm()
            process.communicate(b"\n", timeout=60)
        seen = Seen(loader.end_window())
        assert not seen.denied
        assert seen.calls()["getppid"] == 23
    finally:
        loader.close()
        cgroup.rmdir()


@pytest.mark.parametrize(
    "action",
    [
        ["fork", 23, [["call", GETPPID, 1]]],
        ["clone3", 23, [["call", GETPPID, 1]]],
        ["thread", 23, [["call", GETPPID, 1]]],
        ["vfork", "/bin/true"],
        ["spawn", "/bin/true"],
        ["raise", 10],
    ],
    ids=["fork", "clone3", "thread", "vfork", "spawn", "signal"],
)
def test_what_looks_like_a_refusal_is_none(kernel: Kernel, action: list[object]) -> None:
    seen = kernel.run(["handle", 10], UNRELATED, action)
    assert not seen.denied
