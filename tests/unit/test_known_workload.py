"""The known workload makes the calls it is told, and none besides, as strace counts them."""

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.workloads import actions, build_known, known

pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]

GETPID, GETPPID, GETTID, SCHED_YIELD = 39, 110, 186, 24


def traced(tmp_path: Path, *wanted, stdin: bytes = b"") -> Counter[str]:
    """Names of the calls between the program's own execve and its end, counted."""
    log = tmp_path / "strace.log"
    command = ["strace", "-f", "-qq", "-o", str(log), *known(*wanted)]
    subprocess.run(command, input=stdin, capture_output=True, timeout=30, check=False)
    names = re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)
    counts = Counter(names)
    counts.subtract(execve=1)
    return +counts


def run_known(*wanted, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(known(*wanted), capture_output=True, timeout=30, check=False, **options)


def test_twenty_three_calls_in_are_exactly_twenty_three_calls_out(tmp_path):
    assert traced(tmp_path, ["call", GETPPID, 23]) == {"getppid": 23, "exit_group": 1}


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [
        (["openat", "/etc/hostname", "r"], {"openat": 1, "close": 1}),
        (["open", "/nonexistent", "rw"], {"open": 1}),
        (["repeat", 7, [["call", GETPID, 2]]], {"getpid": 14}),
        (["thread", 3, [["call", GETTID, 5]]], {"clone": 3, "gettid": 15, "exit": 3}),
        (["fork", 2, [["call", GETPID, 3]]], {"fork": 2, "wait4": 2, "getpid": 6, "exit_group": 2}),
        (["connect", "127.0.0.1", 9], {"socket": 1, "connect": 1, "close": 1}),
        (["connect6", "::1", 9], {"socket": 1, "connect": 1, "close": 1}),
        (["unix", "@nobody-listens"], {"socket": 1, "connect": 1, "close": 1}),
        (["udp", "127.0.0.1", 9], {"socket": 1, "sendto": 1, "close": 1}),
        (["listen", 0], {"socket": 1, "setsockopt": 1, "bind": 1, "listen": 1}),
        (["spawn-fail", "/nonexistent"], {"fork": 1, "execve": 1, "wait4": 1, "exit_group": 1}),
        (["exec", "/nonexistent"], {"execve": 1}),
        (["chdir", "/"], {"chdir": 1}),
        (["setns", "/nonexistent"], {"open": 1}),
        (["seccomp", SCHED_YIELD, "errno", 38], {"prctl": 1, "seccomp": 1}),
        (["handle", 10], {"rt_sigaction": 1}),
        (["wait-byte"], {"read": 1}),
        (["ready-fd", 1], {"write": 1}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_action_makes_the_calls_that_its_help_names(tmp_path, wanted, calls):
    seen = traced(tmp_path, wanted)
    assert seen == Counter(calls) + Counter(exit_group=1)


def test_a_vforked_child_executes_the_command(tmp_path):
    child = [str(build_known()), *actions(["call", GETPPID, 5])]
    seen = traced(tmp_path, ["vfork", *child])
    assert seen == {"vfork": 1, "execve": 1, "getppid": 5, "wait4": 1, "exit_group": 2}


def test_a_storm_executes_as_often_as_asked(tmp_path):
    child = [[str(build_known()), "call", GETPPID, 1]]
    seen = traced(tmp_path, ["storm-exec", 5, child])
    assert seen == {"fork": 5, "execve": 5, "wait4": 5, "getppid": 5, "exit_group": 6}


def test_a_program_in_a_memory_file_is_executed(tmp_path):
    seen = traced(tmp_path, ["memfd-exec", build_known(), "call", GETPPID, 3])
    assert seen["execveat"] == 1
    assert seen["getppid"] == 3


def test_a_burst_opens_as_many_distinct_files_as_asked(tmp_path):
    result = run_known(["expect", 23, "burst-open", tmp_path, 23])
    assert result.returncode == 0
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(23))


def test_a_filter_answers_the_call_with_its_errno():
    result = run_known(["seccomp", GETPPID, "errno", 38], ["report", "call", GETPPID, 1])
    assert result.stdout == b"call -38\n"


@pytest.mark.parametrize(
    ("action", "signal"), [("kill-process", 31), ("kill-thread", 31), ("trap", 31)]
)
def test_a_filter_ends_the_process_by_the_signal_of_its_action(action, signal):
    result = run_known(["seccomp", GETPPID, action], ["call", GETPPID, 1])
    assert result.returncode == -signal


def test_strict_mode_kills_at_the_next_other_call():
    assert run_known(["strict"], ["call", GETPPID, 1]).returncode == -9
    assert run_known(["strict"]).returncode == 0


def test_an_i386_call_reaches_the_i386_table():
    # 64 is getppid in the i386 table and semget in that of x86-64.
    result = run_known(["report", "int80", 64, 1])
    assert result.stdout == f"int80 {os.getpid()}\n".encode()


def test_an_unmet_expectation_is_told_and_ends_the_process():
    result = run_known(["expect", 0, "openat", "/nonexistent", "r"], ["ready-fd", 1])
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"error: `openat` returned -2, expected 0\n"


@pytest.mark.parametrize("address", ["::1", "::ffff:127.0.0.1", "0:0:0:0:0:0:0:1"])
def test_ipv6_addresses_are_read_as_the_kernel_reads_them(tmp_path, address):
    log = tmp_path / "strace.log"
    command = known(["connect6", address, 9])
    subprocess.run(["strace", "-qq", "-o", log, "-e", "connect", *command], check=True)
    expected = "::1" if address.endswith(":1") else address
    assert f'"{expected}"' in log.read_text()


@pytest.mark.parametrize(
    "words",
    [
        "nonsense",
        "call 1",
        "fork 1 [",
        "fork 1 ]",
        "spawn",
        "exit x",
        "call 1 1 , nonsense",
        "connect 1.2.3 80",
        "connect6 1::2::3 80",
    ],
)
def test_a_line_that_makes_no_sense_is_refused(words):
    result = subprocess.run([build_known(), *words.split()], capture_output=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: ")


def test_a_bad_action_is_refused_before_the_first_one_is_done(tmp_path):
    marker = tmp_path / "ready"
    assert run_known(["ready", marker], ["nonsense"]).returncode == 2
    assert not marker.exists()


def test_actions_can_come_from_a_file(tmp_path):
    script = tmp_path / "script"
    script.write_text("# first\nreport call 110 1\n\nreport chdir / # and then\n")
    result = subprocess.run([build_known(), "-f", script], capture_output=True, check=False)
    assert result.stdout == f"call {os.getpid()}\nchdir 0\n".encode()


def test_the_help_names_every_action():
    text = subprocess.run(
        [build_known(), "--help"], capture_output=True, text=True, check=True
    ).stdout
    source = (Path(__file__).parent.parent / "workloads" / "known.c").read_text()
    names = re.findall(r'^\t\{"([a-z0-9-]+)", do_', source, re.MULTILINE)
    assert len(names) > 30
    assert [name for name in names if name not in text] == []


def test_signs_of_the_language_are_refused_as_arguments():
    with pytest.raises(ValueError, match="no way to say"):
        actions(["exec", ","])
