"""Threads that have no room for their fast state are recorded as exactly as those that have it."""

import errno
import os
import secrets
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.events import RecordKind
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel
from tests.workloads import known

pytestmark = pytest.mark.bpf

GETPPID, GETPID, I386_GETPPID, CLOSE = 110, 39, 64, 3
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


def test_counts_sequences_and_errors_are_exact_without_it(crowded: Kernel) -> None:
    seen = crowded.run(
        ["fork", 23, [["call", GETPPID, 3]]],
        ["thread", 23, [["call", GETPID, 3]]],
        ["int80", I386_GETPPID, 23],
        ["call", CLOSE, 23, 999],
    )
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


def test_calls_follow_a_process_that_is_moved(kernel: Kernel, tmp_path: Path) -> None:
    """Between any two moves it makes as many calls, each counted where it was when it made them."""
    mount = Hierarchy().mount
    assert mount is not None
    both = [mount / f"ethogram-test-{secrets.token_hex(4)}" for _ in range(2)]
    kernel.loader.end_window()
    identifiers = []
    try:
        for cgroup in both:
            cgroup.mkdir()
            identifiers.append(cgroup.stat().st_ino)
            kernel.loader.set_target(identifiers[-1], is_recorded=True)
        actions = [["call", GETPPID, 7], ["ready-fd", 1], ["wait-byte"]] * MOVES
        with subprocess.Popen(
            known(*actions),
            preexec_fn=lambda: (both[0] / "cgroup.procs").write_text("0") and None,  # noqa: PLW1509
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(MOVES):
                assert process.stdout.read(1) == b"\n"
                (both[(number + 1) % 2] / "cgroup.procs").write_text(str(process.pid))
                os.write(process.stdin.fileno(), b"\n")
            assert process.wait(60) == 0
        drained = kernel.loader.end_window()
        heads = [head for batch in drained.records[RecordKind.SLOT] for head in batch.heads]
        cgroup_of = {int(head["slot"]): int(head["cgroup_id"]) for head in heads}
        counted = Counter[int]()
        for row in drained.calls[drained.calls["nr"] == GETPPID]:
            counted[cgroup_of.get(int(row["slot"]), 0)] += int(row["calls"])
        assert counted == dict.fromkeys(identifiers, 7 * MOVES // 2)
    finally:
        for cgroup in both:
            cgroup.rmdir()
        for identifier in identifiers:
            kernel.loader.forget(identifier, kernel.loader.host_namespaces[0], [])


def test_a_phase_that_begins_during_a_call_is_the_next_call_s(kernel: Kernel) -> None:
    """What another hook learnt meanwhile is not forgotten when the call returns."""
    connect = ["connect", "127.0.0.1", 1]
    seen = kernel.run(
        ["listen", 0, "127.0.0.1"], connect, ["call", GETPPID, 23], connect, ["call", GETPID, 23]
    )
    assert seen.calls("steady")["getppid"] == 23
    assert seen.calls("steady")["getpid"] == 23
