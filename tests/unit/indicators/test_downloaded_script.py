"""A shell that executes what is being downloaded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recordings import START_NS
from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "downloaded-script"
OF = {"parent_exec_id": "bash"}
SOURCE: dict[str, Any] = OF | {
    "exe_path": b"/usr/bin/curl",
    "argv": [b"curl", b"-s", b"http://x/"],
    "stdio": ["pipe", "pipe", "tty"],
}
SHELL: dict[str, Any] = OF | {
    "exe_path": b"/bin/dash",
    "argv": [b"sh"],
    "stdio": ["pipe", "tty", "tty"],
}


def found(*rows: dict[str, Any]) -> list[bool]:
    return fires(NAME, seen("processes", *rows))


def test_a_shell_behind_it_fires_and_taints() -> None:
    assert found(SOURCE, SHELL) == [False, True]
    assert found(SOURCE, SHELL | {"argv": [b"bash", b"-s", b"--", b"x"]}) == [False, True]
    assert taints(NAME, seen("processes", SOURCE, SHELL)) == [False, True]


def test_which_of_them_started_first_is_a_matter_of_luck() -> None:
    started = {"start": START_NS - 400_000_000}
    assert found(SOURCE, SHELL | started) == [False, True]


def test_neither_fires_alone() -> None:
    assert found(SOURCE) == [False]
    assert found(SHELL) == [False]


@pytest.mark.parametrize(
    "change",
    [
        {"argv": [b"sh", b"/app/run.sh"]},
        {"argv": [b"sh", b"-c", b"id"]},
        {"stdio": ["tty"] * 3},
        {"exe_path": b"/usr/bin/wc"},
        {"parent_exec_id": "another"},
        {"start": START_NS + 1_100_000_000},
        {"errno": 2},
    ],
)
def test_what_reads_no_commands_from_it_does_not(change: dict[str, Any]) -> None:
    assert found(SOURCE, SHELL | change) == [False, False]


@pytest.mark.parametrize("change", [{"stdio": ["pipe", "file", "tty"]}, {"exe_path": b"/bin/cat"}])
def test_what_is_no_such_source_does_not(change: dict[str, Any]) -> None:
    assert found(SOURCE | change, SHELL) == [False, False]
