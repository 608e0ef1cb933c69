"""A capability that raw sockets need."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "raw-socket"
USED = {"operation": "capability", "capability": 13, "granted": True}


def test_raw_access_that_was_granted_fires() -> None:
    rows = seen(
        "privileges",
        USED,
        USED | {"granted": False, "errno": 1},
        USED | {"capability": 10},
        USED | {"phase": "runtime"},
        {"operation": "mount", "granted": True},
    )
    assert fires(NAME, rows) == [True, False, False, False, False]
    assert taints(NAME, rows) == [False] * 5
