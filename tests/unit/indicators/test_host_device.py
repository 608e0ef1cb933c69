"""A container that opens a disk or the memory of the machine."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, UNIT, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "host-device"


def test_a_disk_or_the_memory_fires_and_other_devices_do_not() -> None:
    devices = [b"/dev/sda1", b"/dev/vda", b"/dev/nvme0n1p2", b"/dev/dm-0", b"/dev/mem",
               b"/host/dev/sda", b"/dev/mapper/root"]  # fmt: skip
    others = [b"/dev/null", b"/dev/shm/sda", b"/dev/fuse", b"/dev/sdx/y", b"/srv/sda"]
    assert fires_on(NAME, "files", READ, "path", devices + others) == devices


def test_attempts_count_in_containers_alone() -> None:
    disk = {"path": b"/dev/sda"} | READ
    rows = seen(
        "files", disk | {"errno": 1}, disk | {"errno": 2}, disk | {"instance": UNIT},
        disk | {"phase": "runtime"},
    )  # fmt: skip
    assert fires(NAME, rows) == [True, False, False, False]
    assert taints(NAME, rows) == [False] * 4
