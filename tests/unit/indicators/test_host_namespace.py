"""A process of a container that is in a namespace of the host."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import (
    OWN_BITS,
    UNIT,
    UNKNOWN,
    fires,
    fires_on,
    seen,
    taints,
)

pytestmark = pytest.mark.unit

NAME = "host-namespace"
MNT, PID, NET, CGROUP = 1, 2, 4, 64
OUT: dict[str, Any] = {
    "exec_id": "b",
    "session_exec_id": "a",
    "host_namespace_bits": OWN_BITS | MNT,
}


def test_a_namespace_that_became_the_hosts_fires() -> None:
    bits = [OWN_BITS | extra for extra in (MNT, PID, NET, MNT | PID | NET, 0, CGROUP)] + [None, 0]
    found = fires_on(NAME, "processes", OUT, "host_namespace_bits", bits)
    assert found == bits[:4]
    assert taints(NAME, seen("processes", OUT)) == [True]


def test_one_that_the_container_shares_does_not() -> None:
    instance = {"instance": UNIT, "host_namespace_bits": 0xFF}
    assert fires(NAME, seen("processes", OUT | instance)) == [False]


def test_nothing_fires_where_nobody_saw_what_the_container_shares() -> None:
    assert fires(NAME, seen("processes", OUT | {"instance": UNKNOWN}, OUT | {"instance": 9})) == [
        False,
        False,
    ]


def test_the_runtime_on_its_way_in_does_not_fire() -> None:
    rows = seen(
        "processes",
        OUT | {"phase": "runtime"},
        OUT | {"phase": "exec", "exec_id": "a"},
        OUT | {"phase": "exec"},
    )
    assert fires(NAME, rows) == [False, False, True]


def test_only_what_executed_is_judged() -> None:
    rows = seen("processes", OUT | {"errno": 13}, OUT | {"flags": int(ProcessFlag.FORKED)})
    assert fires(NAME, rows) == [False, False]
