"""A namespace that was made or joined."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "namespace-change"


@pytest.mark.parametrize("operation", ["unshare", "clone_namespace", "setns"])
def test_it_fires_granted_or_refused(operation: str) -> None:
    rows = tried(operation, "no_new_privs")
    assert fires(NAME, rows) == [True, False, True, False]
    assert taints(NAME, rows) == [False] * 4


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("unshare", phase="runtime")) == [False, False]
