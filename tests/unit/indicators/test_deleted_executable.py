"""An executable that was deleted before it was executed."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "deleted-executable"
DELETED = {"flags": int(ProcessFlag.DELETED)}


def test_a_deleted_file_that_runs_fires() -> None:
    rows = seen(
        "processes",
        DELETED,
        {},
        {"flags": int(ProcessFlag.UPPER_LAYER)},
        DELETED | {"phase": "runtime"},
        DELETED | {"errno": 2},
        {"flags": int(ProcessFlag.DELETED | ProcessFlag.FORKED)},
    )
    expected = [True, False, False, False, False, False]
    assert fires(NAME, rows) == expected
    assert taints(NAME, rows) == expected


def test_a_file_in_memory_has_an_indicator_of_its_own() -> None:
    memory = {"flags": int(ProcessFlag.DELETED | ProcessFlag.MEMFD)}
    assert fires(NAME, seen("processes", memory, DELETED | {"exe_memfd": True})) == [False, False]
