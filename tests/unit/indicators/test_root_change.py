"""A container that changes its root directory."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import UNIT, fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "root-change"


@pytest.mark.parametrize("operation", ["chroot", "pivot_root"])
def test_it_fires_granted_or_refused(operation: str) -> None:
    rows = tried(operation, "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [False] * 4


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("chroot", phase="runtime")) == [False, False]


def test_outside_containers_it_is_nothing_special() -> None:
    assert fires(NAME, tried("chroot", instance=UNIT)) == [False, False]
