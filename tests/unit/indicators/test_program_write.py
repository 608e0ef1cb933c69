"""A program of the system that was written."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import Access
from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "program-write"


def test_writing_a_program_fires_and_taints_nothing() -> None:
    programs = [b"/bin/ls", b"/usr/bin/x", b"/usr/local/bin/y", b"/usr/sbin/z", b"/sbin/init"]
    others = [b"/usr/bin", b"/opt/bin/x", b"/usr/lib/x.so", b"/home/a/bin/x", b"/usr/bin/a/b"]
    assert fires_on(NAME, "files", WRITE, "path", programs + others) == programs
    assert taints(NAME, seen("files", WRITE | {"path": b"/bin/ls"})) == [False]


def test_a_move_there_and_an_attempt_count_and_reading_does_not() -> None:
    program = {"path": b"/usr/bin/x"}
    rows = seen(
        "files",
        program | {"access": int(Access.RENAME_TO)},
        program | WRITE | {"errno": 30},
        program | READ,
        program | WRITE | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [True, True, False, False]
