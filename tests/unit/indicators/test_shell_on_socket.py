"""A shell that reads its commands from a socket."""

from __future__ import annotations

from typing import Any

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "shell-on-socket"
SOCKET: dict[str, Any] = {"stdio": ["socket"] * 3, "exe_path": b"/bin/bash"}


def test_a_shell_or_an_interpreter_that_reads_a_socket_fires() -> None:
    rows = seen(
        "processes",
        SOCKET | {"exe_path": b"/bin/sh"},
        SOCKET | {"exe_path": b"/usr/bin/python3.11"},
        SOCKET | {"exe_path": b"sh"},
        SOCKET | {"exe_path": b"/usr/sbin/nginx"},
        SOCKET | {"exe_path": b"/opt/notsh"},
        SOCKET | {"exe_path": b"/bin/sh/x"},
        SOCKET | {"errno": 13},
        SOCKET | {"flags": int(ProcessFlag.FORKED)},
    )
    expected = [True, True, True, False, False, False, False, False]
    assert fires(NAME, rows) == expected
    assert taints(NAME, rows) == expected


def test_its_input_alone_decides() -> None:
    kinds: list[list[str]] = [["null", "socket", "socket"], [], ["pipe"], ["socket"]]
    assert fires_on(NAME, "processes", SOCKET, "stdio", kinds) == [["socket"]]


@pytest.mark.parametrize(
    "argv",
    [
        [], [b"sh"], [b"-sh"], [b"bash", b"-i"], [b"bash", b"--norc", b"-i"], [b"sh", b"-p"],
        [b"bash", b"--rcfile", b"/dev/null", b"-i"], [b"sh", b"-s", b"10.0.0.1"],
        [b"sh", b"-is"], [b"bash", b"+m"], [b"bash", b"-e"], [b"bash", b"-eo", b"pipefail"],
    ],
)  # fmt: skip
def test_a_shell_that_takes_commands_fires(argv: list[bytes]) -> None:
    assert fires(NAME, seen("processes", SOCKET | {"argv": argv})) == [True]


@pytest.mark.parametrize(
    "argv",
    [
        [b"/bin/sh", b"-c", b"ls -la"],
        [b"bash", b"-lc", b"id"],
        [b"bash", b"/app/run.sh", b"x"],
        [b"bash", b"/app/run.sh", b"-i"],
        [b"bash", b"-i", b"/app/run.sh"],
    ],
)
def test_one_that_was_given_its_program_does_not(argv: list[bytes]) -> None:
    assert fires(NAME, seen("processes", SOCKET | {"argv": argv})) == [False]


def test_an_interpreter_that_was_given_its_program_does_not() -> None:
    row = SOCKET | {"exe_path": b"/usr/bin/python3.11"}
    found = fires_on(
        NAME, "processes", row, "argv",
        [[b"python3"], [b"python3", b"-"], [b"python3", b"-S", b"-c", b"x"], [b"python3", b"a.py"]],
    )  # fmt: skip
    assert found == [[b"python3"], [b"python3", b"-"]]


def test_of_busybox_only_its_shell_fires() -> None:
    row = SOCKET | {"exe_path": b"/bin/busybox"}
    given = [[b"sh"], [b"/bin/sh", b"-i"], [b"busybox", b"sh"], [b"busybox", b"ash", b"-i"],
             [b"cat"], [b"busybox", b"cat"], [b"wget", b"sh"]]  # fmt: skip
    assert fires_on(NAME, "processes", row, "argv", given) == given[:4]


def test_what_sshd_starts_is_a_login() -> None:
    parents = [b"/usr/sbin/sshd", b"/usr/lib/openssh/sshd-session", b"/tmp/sshd", b"/app/server"]
    assert fires_on(NAME, "processes", SOCKET, "parent_path", parents) == parents[2:]
