"""A container that tells the kernel which program to start."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, UNIT, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "kernel-interface-write"
CGROUP, DISK = 30, 8 << 20 | 1
OPENED = WRITE | {"in_image": "unknown", "dev": CGROUP}
CORE = {"path": b"/proc/sys/kernel/core_pattern"}


def test_what_the_kernel_starts_programs_by_fires() -> None:
    files = [
        b"/proc/sys/kernel/core_pattern", b"/host/proc/sys/kernel/modprobe", b"/proc/sysrq-trigger",
        b"/proc/sys/fs/binfmt_misc/register", b"/sys/kernel/uevent_helper",
        b"/sys/fs/cgroup/rdma/release_agent", b"/tmp/cgrp/release_agent",
    ]  # fmt: skip
    others = [b"/proc/sys/net/ipv4/ip_forward", b"/proc/sys/kernel/core_pattern.bak",
              b"/proc/self/oom_score_adj", b"/sys/fs/cgroup/cgroup.procs"]  # fmt: skip
    assert fires_on(NAME, "files", OPENED, "path", files + others) == files
    assert taints(NAME, seen("files", OPENED | CORE)) == [True]


def test_a_name_alone_is_only_a_name() -> None:
    agent = OPENED | {"path": b"/tmp/x/release_agent"}
    rows = seen(
        "files",
        agent | {"in_image": "no"},
        agent | {"in_image": "yes"},
        agent | {"dev": DISK},
        OPENED | {"path": b"/tmp/proc/sys/kernel/core_pattern", "in_image": "no"},
    )
    assert fires(NAME, rows) == [False] * len(rows)


def test_an_attempt_counts_by_the_string_that_was_asked_for() -> None:
    refused = WRITE | {"errno": 30, "dev": 0, "in_image": "yes"}
    asked = [b"/proc/sys/kernel/core_pattern", b"/sys/fs/cgroup/rdma/release_agent",
             b"/proc/self/root/proc/sys/kernel/core_pattern", b"/tmp/release_agent",
             b"core_pattern"]  # fmt: skip
    assert fires_on(NAME, "files", refused, "path", asked) == asked[:3]
    lacking = WRITE | {"errno": 2, "path": b"/proc/sysrq-trigger"}
    assert fires(NAME, seen("files", lacking)) == [True]


def test_only_writing_in_containers_is_judged() -> None:
    rows = seen(
        "files",
        CORE | READ,
        CORE | OPENED | {"instance": UNIT},
        CORE | OPENED | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [False] * len(rows)
