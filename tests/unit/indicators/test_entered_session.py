"""A person at a terminal in a container."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import OWN_BITS, UNIT, fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "entered-session"
SHELL: dict[str, Any] = {
    "exec_id": "b", "session_exec_id": "a", "exe_path": b"/bin/bash", "argv": [b"bash"],
    "flags": int(ProcessFlag.ENTERED), "stdio": ["tty", "tty", "tty"], "phase": "exec",
    "host_namespace_bits": OWN_BITS,
}  # fmt: skip


def test_a_shell_at_a_terminal_that_entered_fires_and_taints_nothing() -> None:
    rows = seen("processes", SHELL)
    assert (fires(NAME, rows), taints(NAME, rows)) == ([True], [False])


@pytest.mark.parametrize(
    "other",
    [
        {"stdio": ["pipe", "pipe", "pipe"]},  # a probe
        {"stdio": None},
        {"flags": 0},  # the container's own terminal
        {"exe_path": b"/usr/bin/top", "argv": [b"top"]},
        {"instance": UNIT},
        {"phase": "runtime"},
        {"flags": int(ProcessFlag.ENTERED | ProcessFlag.FORKED)},
        {"errno": 2},
    ],
)
def test_what_is_no_session_of_a_person_does_not(other: dict[str, Any]) -> None:
    assert fires(NAME, seen("processes", SHELL | other)) == [False]
