"""A script in a directory for temporary files."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "temporary-script"
BY_SHELL = READ | {"exe_path": b"/bin/dash"}


def test_a_script_that_a_shell_reads_there_fires() -> None:
    scripts = [b"/tmp/x.sh", b"/var/tmp/a/b.py", b"/dev/shm/x.pl", b"/run/user/0/x.js",
               b"/tmp/a\nb/x.sh"]  # fmt: skip
    others = [b"/tmp/data", b"/tmp/x.sh.log", b"/app/x.sh", b"/srv/tmp/x.sh"]
    assert fires_on(NAME, "files", BY_SHELL, "path", scripts + others) == scripts


def test_only_who_runs_scripts_is_judged_and_none_taints() -> None:
    script = READ | {"path": b"/tmp/p.py"}
    programs = [b"/usr/bin/python3.11", b"/bin/bash", b"/usr/bin/cat", b"/app/server"]
    assert fires_on(NAME, "files", script, "exe_path", programs) == programs[:2]
    assert taints(NAME, seen("files", script | {"exe_path": b"/bin/sh"})) == [False]


def test_writing_one_or_missing_one_is_no_run() -> None:
    script = {"path": b"/tmp/x.sh", "exe_path": b"/bin/sh"}
    assert fires(NAME, seen("files", script | WRITE, script | READ | {"errno": 2})) == [False] * 2
