"""The memory of another process, opened for writing."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "process-memory-write"
MEMORY = {"path": b"/proc/42/mem"}


def test_the_memory_of_a_process_fires() -> None:
    memory = [b"/proc/42/mem", b"/proc/42/task/43/mem", b"/host/proc/1/mem"]
    others = [b"/proc/42/maps", b"/proc/42/memory", b"/proc/meminfo", b"/proc/self/mem"]
    assert fires_on(NAME, "files", WRITE, "path", memory + others) == memory


def test_ones_own_by_the_name_self_does_not() -> None:
    rows = seen(
        "files",
        MEMORY | WRITE | {"asked": b"/proc/self/mem"},
        MEMORY | WRITE | {"asked": b"/proc/thread-self/mem"},
        MEMORY | WRITE | {"asked": b"../42/mem"},
    )
    assert fires(NAME, rows) == [False, False, True]


def test_attempts_count_and_reading_does_not() -> None:
    rows = seen("files", MEMORY | WRITE | {"errno": 13}, MEMORY | READ)
    assert fires(NAME, rows) == [True, False]
    assert taints(NAME, rows) == [True, False]
