"""An executable in anonymous memory."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "fileless-executable"


def test_an_executable_that_never_was_a_file_fires() -> None:
    rows = seen(
        "processes",
        {"flags": int(ProcessFlag.MEMFD)},
        {"exe_memfd": True},
        {"flags": int(ProcessFlag.MEMFD | ProcessFlag.DELETED)},
        {},
        {"flags": int(ProcessFlag.DELETED)},
        {"exe_memfd": True, "errno": 13},
        {"exe_memfd": True, "flags": int(ProcessFlag.FORKED)},
    )
    expected = [True, True, True, False, False, False, False]
    assert fires(NAME, rows) == expected
    assert taints(NAME, rows) == expected


def test_the_runtime_may_run_from_memory_and_a_workload_may_not() -> None:
    entered = {"exe_memfd": True, "phase": "exec", "flags": int(ProcessFlag.ENTERED)}
    first = {"exec_id": "a", "session_exec_id": "a"}
    rows = seen(
        "processes",
        {"exe_memfd": True, "phase": "runtime"},
        entered | first | {"host_namespace_bits": 1},
        entered | {"exec_id": "c", "session_exec_id": "c"},
        entered | {"exec_id": "b", "session_exec_id": "a", "host_namespace_bits": 1},
    )
    assert fires(NAME, rows) == [False, False, True, True]
