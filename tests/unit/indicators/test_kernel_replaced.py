"""A kernel that is to be replaced by another."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "kernel-replaced"


def test_it_fires_granted_or_refused() -> None:
    rows = tried("kexec", "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [True, False, True, False]


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("kexec", phase="runtime")) == [False, False]
