"""An executable that is written to while it runs."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "own-executable-write"
BUSY = WRITE | {"errno": 26}


def test_the_link_to_what_runs_fires_busy_or_not() -> None:
    links = [b"/proc/self/exe", b"/proc/1/exe", b"/proc/7/task/8/exe"]
    others = [b"/proc/self/exec", b"/srv/self/exe", b"/usr/bin/runc"]
    assert fires_on(NAME, "files", BUSY, "path", links + others) == links
    opened = WRITE | {"path": b"/usr/bin/runc", "asked": b"/proc/self/exe"}
    assert fires(NAME, seen("files", opened)) == [True]
    assert taints(NAME, seen("files", opened)) == [True]


def test_a_descriptor_that_stands_for_a_program_fires() -> None:
    through = WRITE | {"asked": b"/proc/self/fd/7"}
    rows = seen(
        "files",
        through | {"path": b"/usr/bin/runc"},
        BUSY | {"path": b"/proc/self/fd/7"},
        through | {"path": b"/var/log/app.log"},
        WRITE | {"path": b"/proc/self/fd/7", "errno": 13},
    )
    assert fires(NAME, rows) == [True, True, False, False]


def test_reading_it_is_what_everybody_does() -> None:
    rows = seen("files", READ | {"path": b"/usr/bin/x", "asked": b"/proc/self/exe"})
    assert fires(NAME, rows) == [False]
