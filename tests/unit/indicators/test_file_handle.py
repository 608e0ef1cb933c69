"""A file that a container opened by its handle."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import UNIT, fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "file-handle"


def test_it_fires_granted_or_refused() -> None:
    rows = tried("open_by_handle", "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [True, False, True, False]


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("open_by_handle", phase="runtime")) == [False, False]


def test_outside_containers_systemd_does_it() -> None:
    assert fires(NAME, tried("open_by_handle", instance=UNIT)) == [False, False]
