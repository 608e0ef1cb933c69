"""A change of user or group that the kernel refused."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "identity-refused"


@pytest.mark.parametrize("operation", ["set_user", "set_group"])
def test_only_what_was_refused_fires_and_none_taints(operation: str) -> None:
    rows = tried(operation, "set_capabilities")
    assert fires(NAME, rows) == [False, False, True, False]
    assert taints(NAME, rows) == [False] * 4


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("set_user", phase="runtime")) == [False, False]
