"""A program that mines."""

from __future__ import annotations

import pytest

from profiler.redaction import redact
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "miner"


def test_what_it_is_told_gives_it_away() -> None:
    told = [
        [b"x", b"-o", b"stratum+tcp://pool.example:3333"],
        [b"bash", b"-c", b": STRATUM+SSL://127.0.0.1:3333"],
        [b"x", b"--url=stratum2+tcp://a:1"],
        [b"x", b"--donate-level", b"1"],
        [b"x", b"--algo=rx/0"],
    ]
    others = [[b"x", b"stratum"], [b"x", b"--donate"], [b"x", b"--algo=sha256"], []]
    assert fires_on(NAME, "processes", {}, "argv", told + others) == told


def test_redaction_leaves_what_gives_it_away() -> None:
    argv, count = redact([b"/tmp/x", b"-o", b"stratum+tcp://wallet:secretword@pool.example:3333"])
    assert count
    assert fires(NAME, seen("processes", {"argv": argv})) == [True]


def test_its_name_gives_it_away() -> None:
    names = [b"/tmp/xmrig", b"/opt/xmrig-notls", b"/tmp/kdevtmpfsi", b"/usr/bin/minder"]
    assert fires_on(NAME, "processes", {}, "exe_path", names) == names[:3]


def test_who_searches_for_miners_is_none() -> None:
    row = {"argv": [b"grep", b"-r", b"stratum+tcp://", b"/"]}
    programs = [b"/usr/bin/grep", b"/usr/bin/rg", b"/tmp/x"]
    assert fires_on(NAME, "processes", row, "exe_path", programs) == programs[2:]
    assert taints(NAME, seen("processes", row | {"exe_path": b"/tmp/x"})) == [True]
