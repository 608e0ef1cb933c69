"""A program that was started through the dynamic loader."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "loader-program"
LOADER = {"exe_path": b"/usr/lib64/ld-linux-x86-64.so.2", "argv": [b"ld.so", b"/tmp/.l"]}


def test_a_program_behind_a_loader_fires() -> None:
    loaders = [b"/usr/lib64/ld-linux-x86-64.so.2", b"/lib/ld-musl-x86_64.so.1",
               b"/lib/ld-linux-aarch64.so.1", b"/usr/bin/ld", b"/opt/ld-linux"]  # fmt: skip
    assert fires_on(NAME, "processes", LOADER, "exe_path", loaders) == loaders[:3]
    assert taints(NAME, seen("processes", LOADER)) == [False]


def test_what_ldd_asks_for_starts_nothing() -> None:
    started = [[b"ld.so", b"/tmp/.l", b"--list"], [b"ld.so", b"--library-path", b"/x", b"/tmp/.l"],
               [b"ld.so", b"--inhibit-cache", b"./l"]]  # fmt: skip
    others = [[b"ld.so", b"--list", b"/bin/ls"], [b"ld.so", b"--verify", b"/bin/ls"], [b"ld.so"],
              [b"ld.so", b"--help"]]  # fmt: skip
    assert fires_on(NAME, "processes", LOADER, "argv", started + others) == started


def test_only_what_executed_is_judged() -> None:
    assert fires(NAME, seen("processes", LOADER | {"errno": 13})) == [False]
