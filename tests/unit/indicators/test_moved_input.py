"""A socket that a running shell or interpreter makes its standard input."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "moved-input"
MOVED = {
    "operation": "input_socket",
    "target": b"inet",
    "granted": True,
    "exe_path": b"/usr/bin/python3.11",
}


def test_a_shell_or_an_interpreter_that_does_it_fires() -> None:
    programs = [b"/bin/dash", b"/usr/bin/perl", b"/usr/bin/cat", b"/usr/sbin/in.ftpd"]
    assert fires_on(NAME, "privileges", MOVED, "exe_path", programs) == programs[:2]
    assert taints(NAME, seen("privileges", MOVED)) == [False]


def test_a_socket_that_leads_to_another_process_does_not() -> None:
    families = [b"inet", b"inet6", b"vsock", b"unix"]
    assert fires_on(NAME, "privileges", MOVED, "target", families) == families[:3]


def test_another_operation_does_not_nor_does_the_runtime() -> None:
    rows = seen("privileges", MOVED | {"operation": "executable_memory"},
                MOVED | {"phase": "runtime"})  # fmt: skip
    assert fires(NAME, rows) == [False, False]
