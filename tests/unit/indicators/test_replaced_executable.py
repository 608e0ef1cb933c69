"""A program of the system that the container itself wrote."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "replaced-executable"
UPPER = {"flags": int(ProcessFlag.UPPER_LAYER)}


def test_a_program_in_a_directory_of_the_system_fires() -> None:
    paths = [b"/usr/bin/uptime", b"/bin/ls", b"/usr/local/bin/x", b"/sbin/x", b"/usr/lib/x/y",
             b"/tmp/usr/bin/x", b"/opt/app/x", b"/usr/share/x"]  # fmt: skip
    assert fires_on(NAME, "processes", UPPER, "exe_path", paths) == paths[:5]


def test_what_the_image_has_does_not_and_nothing_taints() -> None:
    rows = seen("processes", {"exe_path": b"/bin/ls"}, UPPER | {"exe_path": b"/bin/ls"})
    assert fires(NAME, rows) == [False, True]
    assert taints(NAME, rows) == [False, False]
