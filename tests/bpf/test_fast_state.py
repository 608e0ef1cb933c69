"""Threads that have no room for their fast state are recorded as exactly as those that have it."""

import errno
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import RecordKind
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import Drained, KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, GETPID, I386_GETPPID, CLOSE, PRCTL = 110, 39, 64, 3, 157
I386_UNSHARE, NEW_MOUNTS = 310, 0x20000
MOVES = 200


@pytest.fixture(scope="module")
def crowded() -> Iterator[Kernel]:
    """A kernel side with room for two threads of the host: nearly all go without."""
    mount = Hierarchy().mount
    assert mount is not None
    config = KernelConfig(record_by_default=False, recorder_tgid=os.getpid(), fast_bits=1)
    loader = CoreLoader(config)
    try:
        loader.attach(lambda: None)
        loader.arm()
        yield Kernel(loader, mount)
    finally:
        loader.close()


@pytest.fixture
def cgroups(kernel: Kernel) -> Iterator[list[Path]]:
    """Two cgroups, which are forgotten afterwards."""
    mount = Hierarchy().mount
    assert mount is not None
    both = [mount / f"ethogram-test-{secrets.token_hex(4)}" for _ in range(2)]
    for cgroup in both:
        cgroup.mkdir()
    numbers = [cgroup.stat().st_ino for cgroup in both]
    try:
        yield both
    finally:
        for cgroup, number in zip(both, numbers, strict=True):
            cgroup.rmdir()
            kernel.loader.forget(number, kernel.loader.host_mntns, [])


def _calls_by_cgroup(drained: Drained, nr: int) -> Counter[int]:
    heads = [head for batch in drained.records.get(RecordKind.SLOT, []) for head in batch.heads]
    cgroup_of = {int(head["slot"]): int(head["cgroup_id"]) for head in heads}
    counted = Counter[int]()
    for row in drained.calls[drained.calls["nr"] == nr]:
        counted[cgroup_of.get(int(row["slot"]), 0)] += int(row["calls"])
    return counted


def test_counts_sequences_and_errors_are_exact_without_it(crowded: Kernel) -> None:
    seen = crowded.run(
        ["fork", 23, [["call", GETPPID, 3]]],
        ["thread", 23, [["call", GETPID, 3]]],
        ["int80", I386_GETPPID, 23],
        ["call", CLOSE, 23, 999],
        ["call", PRCTL, 23, 3],
    )
    assert seen.arguments["prctl"] == {3: 23}
    assert seen.calls()["getppid"] == 69
    assert seen.calls()["getpid"] == 69
    assert seen.calls(arch="i386") == {"getppid": 23}
    assert seen.errors["close", errno.EBADF] == 23
    assert ("-", "-", "-", "getppid", "getppid", "getppid") in seen.grams
    assert seen.losses == []


def test_a_refusal_is_seen_without_it(crowded: Kernel) -> None:
    seen = crowded.run(["fork", 3, [["seccomp", GETPPID, "errno", 1], ["call", GETPPID, 5]]])
    assert sum(seen.denied.values()) == 15
    assert "getppid" not in seen.calls()


def test_a_stack_that_was_another_s_brings_nothing_with_it(kernel: Kernel) -> None:
    seen = kernel.run(["fork", 2000, [["call", GETPPID, 1]]])
    assert seen.calls()["getppid"] == 2000
    assert ("-", "-", "-", "-", "-", "getppid") in seen.grams
    assert ("-", "-", "-", "-", "getppid", "getppid") not in seen.grams


def test_calls_follow_a_process_that_is_moved(kernel: Kernel, cgroups: list[Path]) -> None:
    """Between any two moves it makes as many calls, each counted where it was when it made them."""
    kernel.loader.end_window()
    for cgroup in cgroups:
        kernel.loader.set_target(cgroup.stat().st_ino, is_recorded=True)
    actions = [["call", GETPPID, 7], ["ready-fd", 1], ["wait-byte"]] * MOVES
    with subprocess.Popen(
        known(*actions),
        preexec_fn=lambda: (cgroups[0] / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(MOVES):
            assert process.stdout.read(1) == b"\n"
            (cgroups[(number + 1) % 2] / "cgroup.procs").write_text(str(process.pid))
            os.write(process.stdin.fileno(), b"\n")
        assert process.wait(60) == 0
    counted = _calls_by_cgroup(kernel.loader.end_window(), GETPPID)
    assert counted == {cgroup.stat().st_ino: 7 * MOVES // 2 for cgroup in cgroups}


# The name of a file that is opened comes from a page that is filled once the process has moved: its
# call began in one cgroup, and what is asked of it within the call is asked in the other.
_MOVES_WITHIN_A_CALL = f"""
import ctypes, fcntl, mmap, os, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(323, os.O_CLOEXEC)
fcntl.ioctl(fd, 0xC018AA3F, bytearray(struct.pack("<QQQ", 0xAA, 0, 0)))
page, name = (mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) for _ in range(2))
at, source = (ctypes.addressof(ctypes.c_char.from_buffer(one)) for one in (page, name))
fcntl.ioctl(fd, 0xC020AA00, bytearray(struct.pack("<QQQQ", at, 4096, 1, 0)))

def opens():
    libc.syscall({GETPPID})
    opened.append(libc.syscall(2, ctypes.c_void_p(at), 0))
    for _ in range(500):
        libc.syscall({GETPPID})

opened = []
thread = threading.Thread(target=opens)
thread.start()
os.read(fd, 32)
open(sys.argv[2] + "/cgroup.procs", "w").write("0")
name[: len(sys.argv[1])] = sys.argv[1].encode()
fcntl.ioctl(fd, 0xC028AA03, bytearray(struct.pack("<QQQQq", at, source, 4096, 0, 0)))
thread.join()
assert opened[0] >= 0
"""


def test_calls_follow_who_is_moved_within_a_call(
    kernel: Kernel, cgroups: list[Path], tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.write_text("")
    private.chmod(0)
    os.chown(private, 12345, 12345)
    kernel.loader.end_window()
    for cgroup in cgroups:
        kernel.loader.set_target(cgroup.stat().st_ino, is_recorded=True)
    subprocess.run(
        [sys.executable, "-c", _MOVES_WITHIN_A_CALL, str(private), str(cgroups[1])],
        preexec_fn=lambda: (cgroups[0] / "cgroup.procs").write_text("0") and None,
        check=True,
        timeout=60,
    )
    drained = kernel.loader.end_window()
    assert _calls_by_cgroup(drained, GETPPID)[cgroups[1].stat().st_ino] == 500


def test_a_slot_that_is_given_back_is_nobody_else_s_while_it_is_in_use(
    cgroups: list[Path],
) -> None:
    """Whoever joined a container's namespaces outlives it."""
    config = KernelConfig(record_by_default=False, recorder_tgid=os.getpid(), max_slots=6)
    loader = CoreLoader(config)
    wait: list[list[object]] = [["ready-fd", 1], ["wait-byte"]]
    lives_on = [*wait, ["call", GETPPID, 5], *wait, ["call", GETPPID, 70]]
    takes = [*wait, ["unshare", "mnt"], ["call", GETPID, 3]]
    try:
        loader.attach(lambda: None)
        loader.arm()
        for cgroup in cgroups:
            loader.set_target(cgroup.stat().st_ino, is_recorded=True)
        with _started(cgroups[0], *lives_on) as one, _started(cgroups[1], *takes) as other:
            first = loader.end_window()
            heads = [head for batch in first.records[RecordKind.SLOT] for head in batch.heads]
            forgotten, taker = (cgroup.stat().st_ino for cgroup in cgroups)
            _go_on(one, is_last=False)
            slots = [int(head["slot"]) for head in heads if int(head["cgroup_id"]) == forgotten]
            loader.forget(forgotten, loader.host_mntns, slots[-1:])
            _go_on(other, is_last=True)
            _go_on(one, is_last=True)
        second = loader.end_window()
        assert _calls_by_cgroup(second, GETPID)[taker] == 3
        assert _calls_by_cgroup(second, GETPPID) == {0: 75}
        third = loader.end_window()
        assert len(third.calls) == 0
    finally:
        loader.close()


def test_an_unshare_of_another_table_is_followed(kernel: Kernel) -> None:
    seen = kernel.run(["int80", I386_UNSHARE, 1, NEW_MOUNTS], ["call", GETPPID, 7])
    assert seen.calls(arch="i386") == {"unshare": 1}
    assert seen.calls("runtime")["getppid"] == 7


def test_namespaces_of_containers_are_joined_without_end(
    kernel: Kernel, cgroups: list[Path]
) -> None:
    """A runtime does so for each probe of its containers; its own are limited."""
    kernel.loader.end_window()
    for cgroup in cgroups:
        kernel.loader.set_target(cgroup.stat().st_ino, is_recorded=True)
    container = [["unshare", "mnt"], ["ready-fd", 1], ["wait-byte"]]
    with _started(cgroups[0], *container) as process:
        mounts = Path(f"/proc/{process.pid}/ns/mnt")
        joined = int(mounts.readlink().name.strip("mnt:[]"))
        for _ in range(40):
            subprocess.run(
                known(["setns", mounts, "mnt"], ["call", GETPPID, 1]),
                preexec_fn=lambda: (cgroups[1] / "cgroup.procs").write_text("0") and None,
                check=True,
            )
        _go_on(process, is_last=True)
    drained = kernel.loader.end_window()
    heads = [head for batch in drained.records[RecordKind.SLOT] for head in batch.heads]
    slots = [int(head["slot"]) for head in heads if int(head["mntns_inode"]) == joined]
    rows = drained.calls[(drained.calls["nr"] == GETPPID) & np.isin(drained.calls["slot"], slots)]
    assert int(rows["calls"].sum()) == 40


def test_a_phase_that_begins_during_a_call_is_the_next_call_s(kernel: Kernel) -> None:
    """What another hook learnt meanwhile is not forgotten when the call returns."""
    connect = ["connect", "127.0.0.1", 1]
    seen = kernel.run(
        ["listen", 0, "127.0.0.1"], connect, ["call", GETPPID, 23], connect, ["call", GETPID, 23]
    )
    assert seen.calls("steady")["getppid"] == 23
    assert seen.calls("steady")["getpid"] == 23


@contextmanager
def _started(cgroup: Path, *actions: list[object]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        known(*actions),
        preexec_fn=lambda: (cgroup / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        yield process


def _go_on(process: subprocess.Popen[bytes], *, is_last: bool) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    os.write(process.stdin.fileno(), b"\n")
    if is_last:
        assert process.wait(60) == 0
    else:
        assert process.stdout.read(1) == b"\n"
