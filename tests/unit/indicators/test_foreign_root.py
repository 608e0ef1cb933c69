"""Files opened by way of the root directory of a process."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import Access
from tests.unit.indicators.judging import READ, UNIT, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "foreign-root"
THROUGH = READ | {"path": b"/etc/hostname", "asked": b"/proc/1/root/etc/hostname"}


def test_the_way_through_a_process_fires() -> None:
    ways = [b"/proc/1/root/etc/hostname", b"/proc/7/cwd/x", b"/host/proc/1/root", b"/proc/1/root/"]
    others = [b"/proc/self/root/etc/hostname", b"/proc/1/rooted", b"/srv/1/root/x", None]
    row = READ | {"path": b"/etc/hostname"}
    assert fires_on(NAME, "files", row, "asked", ways + others) == ways
    assert taints(NAME, seen("files", THROUGH)) == [True]


def test_attempts_and_looking_up_count_in_containers_alone() -> None:
    failed = READ | {"path": b"/proc/1/root/etc/shadow"}
    rows = seen(
        "files",
        failed | {"errno": 13},
        failed | {"errno": 2},
        THROUGH | {"access": int(Access.PATH_ONLY)},
        THROUGH | {"instance": UNIT},
        THROUGH | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [True, False, True, False, False]
