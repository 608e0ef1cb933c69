"""A log that was emptied."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import Access
from ethogram.indicators.protocol import Technique
from ethogram.indicators.registry import indicators
from tests.unit.indicators.judging import APPEND, TRUNCATE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "log-clearing"
LOG = {"path": b"/var/log/auth.log"}


def test_a_log_that_is_cut_fires_and_other_files_do_not() -> None:
    logs = [b"/var/log/case.log", b"/host/var/log/a/b.log", b"/var/log/journal/x/system.journal"]
    others = [b"/srv/app.log", b"/var/logs/x", b"/tmp/log"]
    assert fires_on(NAME, "files", TRUNCATE, "path", logs + others) == logs


def test_a_log_that_is_deleted_or_moved_away_fires() -> None:
    gone = [LOG | {"access": int(bit)} for bit in (Access.UNLINK, Access.RENAME_FROM)]
    left = [LOG | {"access": int(bit)} for bit in (Access.RENAME_TO, Access.ATTRIBUTES)]
    emptied = LOG | {"access": int(Access.UNLINK | Access.DIRECTORY)}
    assert fires(NAME, seen("files", *gone, *left, emptied)) == [True, True, False, False, False]


def test_one_that_is_written_on_does_not_and_none_taints() -> None:
    rows = seen("files", LOG | APPEND, LOG | TRUNCATE | {"errno": 13}, LOG | TRUNCATE)
    assert fires(NAME, rows) == [False, False, True]
    assert taints(NAME, rows) == [False] * 3


def test_its_technique_is_found_by_both_numbers() -> None:
    attack = indicators()[NAME].metadata.attack
    assert attack == (Technique("T1685.006", "19"), Technique("T1070.002", "18"))
