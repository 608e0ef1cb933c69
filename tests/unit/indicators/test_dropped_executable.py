"""An executable that the container itself wrote."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "dropped-executable"
UPPER = {"flags": int(ProcessFlag.UPPER_LAYER)}


def test_an_executable_that_is_not_from_the_image_fires() -> None:
    rows = seen(
        "processes",
        UPPER | {"exe_path": b"/tmp/.x1"},
        {"exe_path": b"/tmp/.x1"},
        UPPER | {"exe_path": b"/tmp/.x1", "errno": 13},
        {"exe_path": b"/tmp/.x1", "flags": int(ProcessFlag.UPPER_LAYER | ProcessFlag.FORKED)},
    )
    assert fires(NAME, rows) == [True, False, False, False]


def test_it_taints_nothing_for_builds_and_updates_do_it() -> None:
    assert taints(NAME, seen("processes", UPPER | {"exe_path": b"/tmp/.x1"})) == [False]


def test_a_program_of_the_system_has_an_indicator_of_its_own() -> None:
    paths = [b"/tmp/x", b"/opt/app/bin/x", b"/usr/bin/x", b"/bin/x", b"/usr/local/sbin/x"]
    assert fires_on(NAME, "processes", UPPER, "exe_path", paths) == paths[:2]
