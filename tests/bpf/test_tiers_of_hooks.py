"""What is seen with fewer hooks: calls on their entry alone, or none at all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig, Tier
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

GETPPID, GETPGRP, POLL, PRCTL = 110, 111, 7, 157


def attached(tier: Tier, startup_ns: int = 60_000_000_000) -> Kernel:
    mount = Hierarchy().mount
    assert mount is not None
    loader = CoreLoader(
        KernelConfig(
            record_by_default=False, recorder_tgid=os.getpid(), tier=tier, startup_ns=startup_ns
        )
    )
    loader.attach(lambda: None)
    loader.arm()
    return Kernel(loader, mount)


@pytest.fixture(scope="module")
def calls() -> Iterator[Kernel]:
    kernel = attached("calls")
    yield kernel
    kernel.loader.close()


@pytest.fixture(scope="module")
def light() -> Iterator[Kernel]:
    kernel = attached("light")
    yield kernel
    kernel.loader.close()


def test_every_call_is_counted_with_its_sequence(calls: Kernel) -> None:
    seen = calls.run(
        ["call", GETPPID, 23], ["fork", 3, [["call", GETPGRP, 2]]], ["call", PRCTL, 5, 3]
    )
    counted = seen.calls()
    assert (counted["getppid"], counted["getpgrp"]) == (23, 6)
    assert ("getppid",) * 6 in seen.grams
    assert seen.arguments == {"prctl": {3: 5}}
    assert len([one for one in seen.execs if not one.errno]) == 1
    assert not seen.losses


def test_the_same_calls_are_counted_as_with_all_hooks(kernel: Kernel, calls: Kernel) -> None:
    actions: list[list[object]] = [
        ["open", "/etc/passwd", "r"], ["open", "/nonexistent", "r"], ["spawn", "/bin/true"],
        ["thread", 3, [["call", GETPPID, 5]]],
    ]  # fmt: skip
    # How often a thread waits for another is not always the same.
    full, entries = (
        {name: count for name, count in one.run(*actions).calls().items() if name != "futex"}
        for one in (kernel, calls)
    )
    assert entries == full


def test_no_result_is_told(calls: Kernel) -> None:
    seen = calls.run(["open", "/etc/passwd", "r"], ["open", "/nonexistent", "r"])
    assert seen.calls()["open"] == 2
    assert (seen.files, seen.errors, seen.operations) == ([], {}, {})
    assert {p.name for p in calls.loader.programs}.isdisjoint({"syscall_exit", "ring_completed"})
    assert calls.loader.unknown == {"coverage.opens"}


def test_a_listener_is_steady_where_no_call_is_seen_to_end(calls: Kernel) -> None:
    seen = calls.run(["call", GETPGRP, 5], ["listen", 0], ["call", GETPGRP, 23])
    assert seen.calls("startup")["getpgrp"] == 5
    assert seen.calls("steady")["getpgrp"] == 23


def test_a_listener_is_steady_where_no_call_is_seen_at_all(light: Kernel) -> None:
    seen = light.run(["spawn", "/bin/true"], ["listen", 0], ["spawn", "/bin/false"])
    phases = {
        one.path.rpartition("/")[2]: seen.phase_of[int(one.head["slot"])] for one in seen.execs
    }
    assert (phases["true"], phases["false"]) == ("startup", "steady")


def test_an_idle_wait_is_not_seen_and_startup_ends_by_its_limit() -> None:
    kernel = attached("calls", startup_ns=1_000_000_000)
    try:
        wait: list[object] = ["call", POLL, 1, 0, 0, 600]
        # The phase is looked at again with the window.
        first, second = kernel.run_in_windows(
            [["call", GETPGRP, 5], wait, ["call", GETPGRP, 6], wait], [["call", GETPGRP, 23]]
        )
    finally:
        kernel.loader.close()
    assert first.calls("startup")["getpgrp"] == 11
    assert second.calls("steady")["getpgrp"] == 23


def test_calls_follow_a_change_of_namespaces_that_is_not_seen_to_end(calls: Kernel) -> None:
    seen = calls.run(["unshare", "mnt"], ["call", GETPPID, 7])
    assert seen.calls("runtime")["getppid"] == 7
