"""A shell that a server started."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "server-shell"
SHELL = {"exe_path": b"/bin/dash", "argv": [b"sh", b"-c", b"id"]}
BY_NGINX = SHELL | {"parent_path": b"/opt/web/nginx"}


def test_a_shell_below_a_server_fires() -> None:
    parents = [b"/usr/sbin/nginx", b"/opt/web/nginx", b"/usr/bin/redis-server",
               b"/usr/sbin/php-fpm8.2", b"/bin/sh", b"/opt/nginx/run"]  # fmt: skip
    assert fires_on(NAME, "processes", SHELL, "parent_path", parents) == parents[:3]
    assert taints(NAME, seen("processes", BY_NGINX)) == [True]


def test_another_program_does_not() -> None:
    programs = [b"/bin/bash", b"/usr/sbin/nginx", b"/bin/true"]
    assert fires_on(NAME, "processes", BY_NGINX, "exe_path", programs) == programs[:1]


def test_only_what_executed_and_whose_parent_is_known_is_judged() -> None:
    rows = seen(
        "processes",
        BY_NGINX | {"errno": 13},
        BY_NGINX | {"flags": int(ProcessFlag.FORKED)},
        SHELL,
    )
    assert fires(NAME, rows) == [False, False, False]
