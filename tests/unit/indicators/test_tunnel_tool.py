"""A program that relays connections."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "tunnel-tool"


def test_the_tool_fires_and_its_neighbours_do_not() -> None:
    tools: list[bytes] = [
        b"/usr/bin/nc",
        b"/bin/nc.openbsd",
        b"/usr/bin/socat",
        b"/tmp/chisel",
        b"ncat",
    ]
    others: list[bytes] = [b"/usr/bin/ssh", b"/usr/bin/sync", b"/opt/nc/x"]
    assert fires_on(NAME, "processes", {}, "exe_path", tools + others) == tools


def test_one_that_did_not_start_does_not_fire_and_none_taints() -> None:
    tool = {"exe_path": b"/usr/bin/nc"}
    forked = tool | {"flags": int(ProcessFlag.FORKED)}
    rows = seen("processes", tool, tool | {"errno": 2}, forked)
    assert fires(NAME, rows) == [True, False, False]
    assert taints(NAME, rows) == [False] * 3


def test_the_one_in_busybox_is_known_by_what_it_was_called() -> None:
    row = {"exe_path": b"/bin/busybox"}
    given = [[b"nc", b"-l"], [b"busybox", b"nc", b"-l"], [b"/usr/bin/nc"], [b"sh", b"nc"]]
    assert fires_on(NAME, "processes", row, "argv", given) == given[:3]
