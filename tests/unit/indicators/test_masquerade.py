"""A process that calls itself like a thread of the kernel."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "masquerade"


def test_a_name_in_brackets_fires() -> None:
    names = [[b"[kthreadd]", b"0.1"], [b"[kworker/0:1]"], [b"["], [b"[", b"-f", b"x", b"]"],
             [b"[]"], [b"[a]b"], [b"x", b"[y]"], []]  # fmt: skip
    assert fires_on(NAME, "processes", {}, "argv", names) == names[:2]


def test_only_what_executed_is_judged() -> None:
    named = {"argv": [b"[x]"]}
    rows = seen("processes", named, named | {"errno": 2}, named | {"flags": ProcessFlag.FORKED})
    assert fires(NAME, rows) == [True, False, False]
    assert taints(NAME, rows) == [True, False, False]
