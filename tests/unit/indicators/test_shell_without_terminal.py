"""An interactive shell that is fed through a pipe."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "shell-without-terminal"
PIPED = {"exe_path": b"/bin/dash", "stdio": ["pipe", "pipe", "pipe"], "argv": [b"sh", b"-i"]}


def test_an_interactive_shell_behind_a_pipe_fires() -> None:
    kinds: list[list[str]] = [["pipe"] * 3, ["tty"] * 3, ["file", "pipe", "pipe"], ["null"] * 3]
    assert fires_on(NAME, "processes", PIPED, "stdio", kinds) == kinds[:1]
    assert taints(NAME, seen("processes", PIPED)) == [True]


def test_one_that_was_given_its_commands_does_not() -> None:
    given = [[b"bash", b"-i"], [b"bash", b"--norc", b"-i"], [b"bash", b"-ic", b"id"], [b"sh"],
             [b"bash", b"-lic", b"env"]]  # fmt: skip
    assert fires_on(NAME, "processes", PIPED, "argv", given) == given[:2]


def test_another_program_does_not() -> None:
    rows = seen("processes", PIPED | {"exe_path": b"/usr/bin/sed"}, PIPED | {"errno": 13})
    assert fires(NAME, rows) == [False, False]
