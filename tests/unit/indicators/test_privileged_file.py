"""A file that gives privileges."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, taints, tried

pytestmark = pytest.mark.unit

NAME = "privileged-file"


@pytest.mark.parametrize("operation", ["chmod_set_id", "set_file_capability"])
def test_it_fires_where_it_was_done(operation: str) -> None:
    rows = tried(operation, "no_new_privs")
    assert fires(NAME, rows) == [True, False, False, False]
    assert taints(NAME, rows) == [False] * 4


def test_preparing_a_container_is_not_judged() -> None:
    assert fires(NAME, tried("chmod_set_id", phase="runtime")) == [False, False]
