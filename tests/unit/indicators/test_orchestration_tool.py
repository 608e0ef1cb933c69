"""A program that commands containers."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "orchestration-tool"


def test_the_tool_fires_and_its_neighbours_do_not() -> None:
    tools: list[bytes] = [b"/usr/local/bin/kubectl", b"/usr/bin/docker", b"/tmp/crictl"]
    others: list[bytes] = [b"/usr/bin/docker-proxy", b"/usr/sbin/nginx"]
    assert fires_on(NAME, "processes", {}, "exe_path", tools + others) == tools


def test_one_that_did_not_start_does_not_fire_and_none_taints() -> None:
    tool = {"exe_path": b"/usr/local/bin/kubectl"}
    forked = tool | {"flags": int(ProcessFlag.FORKED)}
    rows = seen("processes", tool, tool | {"errno": 2}, forked)
    assert fires(NAME, rows) == [True, False, False]
    assert taints(NAME, rows) == [False] * 3
