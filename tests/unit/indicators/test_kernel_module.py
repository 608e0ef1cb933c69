"""A kernel module that was loaded, or an attempt to."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "kernel-module"


def test_it_fires_granted_or_refused() -> None:
    rows = tried("load_module", "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [True, False, True, False]


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("load_module", phase="runtime")) == [False, False]
