"""A key to log in with that was written."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import (
    APPEND,
    READ,
    TRUNCATE,
    WRITE,
    fires,
    fires_on,
    seen,
    taints,
)

pytestmark = pytest.mark.unit

NAME = "login-key-write"
PATHS: list[bytes] = [
    b"/root/.ssh/authorized_keys",
    b"/home/x/.ssh/authorized_keys2",
    b"/root/.ssh/rc",
    b"/etc/ssh/sshd_config",
    b"/etc/ssh/sshd_config.d/a.conf",
]
NEIGHBOURS: list[bytes] = [
    b"/root/.ssh/known_hosts",
    b"/etc/ssh/ssh_config",
    b"/srv/authorized_keys",
]


def test_what_is_written_there_fires_below_a_mount_as_well() -> None:
    mounted = [b"/mnt/host" + path for path in PATHS]
    given = PATHS + mounted + NEIGHBOURS
    assert fires_on(NAME, "files", WRITE, "path", given) == PATHS + mounted


def test_every_way_of_writing_counts_and_attempts_do() -> None:
    file = {"path": PATHS[0]}
    rows = seen(
        "files",
        *(file | way for way in (APPEND, TRUNCATE, READ)),
        *(file | WRITE | {"errno": number} for number in (13, 30, 2)),
        file | WRITE | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [True, True, False, True, True, False, False]
    assert taints(NAME, rows) == [False] * 7
