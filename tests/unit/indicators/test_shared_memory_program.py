"""A program or a script in shared memory."""

from __future__ import annotations

import pytest

from ethogram.contracts.flags import ProcessFlag
from tests.unit.indicators.judging import fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "shared-memory-program"
SHELL = {"exe_path": b"/bin/dash"}


def test_an_executable_there_fires() -> None:
    paths = [b"/dev/shm/a", b"/run/shm/x/y", b"/dev/shmem", b"/tmp/a", b"/usr/bin/a"]
    assert fires_on(NAME, "processes", {}, "exe_path", paths) == paths[:2]
    assert taints(NAME, seen("processes", {"exe_path": b"/dev/shm/a"})) == [True]


def test_a_script_that_the_kernel_runs_fires() -> None:
    scripts = [b"/dev/shm/s.sh", b"/app/run.sh", b"/dev/fd/3", None]
    assert fires_on(NAME, "processes", SHELL, "script", scripts) == scripts[:1]


def test_a_script_that_an_interpreter_is_given_fires() -> None:
    given = [
        [b"sh", b"/dev/shm/s.sh"],
        [b"sh", b"-e", b"-x", b"/dev/shm/s.sh", b"-c", b"x"],
        [b"bash", b"-eo", b"pipefail", b"/run/shm/x"],
    ]
    others = [[b"sh", b"/app/s.sh", b"/dev/shm/data"], [b"sh", b"-c", b"/dev/shm/x", b"y"], [b"sh"]]
    assert fires_on(NAME, "processes", SHELL, "argv", given + others) == given
    python = {"exe_path": b"/usr/bin/python3.11"}
    given = [[b"python3", b"/dev/shm/x.py"], [b"python3", b"-c", b"1", b"/dev/shm/data"]]
    assert fires_on(NAME, "processes", python, "argv", given) == given[:1]


def test_a_relative_script_is_where_the_process_is() -> None:
    given = [[b"sh", b"s.sh"], [b"sh", b"./s.sh"], [b"sh", b"/app/s.sh"], [b"sh", b"-c", b"id"]]
    assert fires_on(NAME, "processes", SHELL | {"cwd": b"/dev/shm"}, "argv", given) == given[:2]
    assert fires_on(NAME, "processes", SHELL | {"cwd": b"/srv"}, "argv", given) == []


def test_a_mount_that_refuses_it_does_not_hide_it() -> None:
    tried = {"exe_path": b"/bin/dash", "cwd": b"/dev/shm", "errno": 13}
    asked = [b"/dev/shm/a", b"./a", b"/app/a"]
    assert fires_on(NAME, "processes", tried, "script", asked) == asked[:2]
    absent = tried | {"errno": 2, "script": b"/dev/shm/a"}
    assert fires(NAME, seen("processes", absent)) == [False]


def test_data_there_is_what_it_is_for() -> None:
    row = {"exe_path": b"/usr/bin/postgres", "argv": [b"postgres", b"/dev/shm/x"]}
    forked = {"exe_path": b"/dev/shm/a", "flags": int(ProcessFlag.FORKED)}
    assert fires(NAME, seen("processes", row, forked)) == [False, False]
