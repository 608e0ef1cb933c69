"""A call of bpf(2), or an attempt."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "bpf-program"


def test_it_fires_granted_or_refused() -> None:
    rows = tried("bpf", "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [False, False, False, False]


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("bpf", phase="runtime")) == [False, False]
