"""A container that was started privileged."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.contracts.capabilities import CAPABILITIES
from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import UNIT, fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "privileged-container"
ALL = (1 << len(CAPABILITIES)) - 1
FIRST: dict[str, Any] = {
    "exec_id": "a", "session_exec_id": "a", "caps_bounding": ALL, "seccomp_mode": 0,
}  # fmt: skip


def test_the_first_process_with_everything_and_no_filter_fires() -> None:
    rows = seen("processes", FIRST)
    assert (fires(NAME, rows), taints(NAME, rows)) == ([True], [False])


@pytest.mark.parametrize(
    "other",
    [
        {"seccomp_mode": 2},
        {"seccomp_mode": None},
        {"caps_bounding": 0xA80425FB},  # what Docker leaves
        {"caps_bounding": 1 << CAPABILITIES.index("CAP_SYS_ADMIN")},
        {"caps_bounding": None},
        {"session_exec_id": "b"},
        {"flags": int(ProcessFlag.ENTERED)},
        {"instance": UNIT},
        {"phase": "runtime"},
    ],
)
def test_what_keeps_something_back_or_is_not_the_first_does_not(other: dict[str, Any]) -> None:
    assert fires(NAME, seen("processes", FIRST | other)) == [False]
