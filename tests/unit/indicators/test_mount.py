"""A container that mounts."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import UNIT, fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "mount"


@pytest.mark.parametrize("operation", ["mount", "umount", "move_mount", "open_tree"])
def test_it_fires_granted_or_refused(operation: str) -> None:
    rows = tried(operation, "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [False] * 4


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("mount", phase="runtime")) == [False, False]


def test_outside_containers_it_is_nothing_special() -> None:
    assert fires(NAME, tried("mount", instance=UNIT)) == [False, False]
