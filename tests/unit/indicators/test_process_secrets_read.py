"""Environment and memory of another process, read."""

from __future__ import annotations

import pytest

from tests.unit.indicators.judging import READ, WRITE, fires, fires_on, seen, taints

pytestmark = pytest.mark.unit

NAME = "process-secrets-read"
ENVIRONMENT = {"path": b"/proc/42/environ"}


def test_what_others_hold_fires() -> None:
    secrets = [b"/proc/42/environ", b"/proc/1/mem", b"/proc/7/maps", b"/host/proc/1/task/1/environ"]
    others = [b"/proc/42/cmdline", b"/proc/environ", b"/proc/meminfo", b"/srv/environ"]
    assert fires_on(NAME, "files", READ, "path", secrets + others) == secrets
    assert taints(NAME, seen("files", ENVIRONMENT | READ)) == [False]


def test_ones_own_attempts_and_writing_do_not() -> None:
    rows = seen(
        "files",
        ENVIRONMENT | READ | {"asked": b"/proc/self/environ"},
        ENVIRONMENT | READ | {"asked": b"../42/environ"},
        ENVIRONMENT | READ | {"errno": 13},
        ENVIRONMENT | WRITE,
        ENVIRONMENT | READ | {"phase": "runtime"},
    )
    assert fires(NAME, rows) == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("phase", "exe", "path", "fired"),
    [
        ("exec", b"/usr/bin/ps", b"/proc/42/environ", False),
        ("exec", b"/bin/pgrep", b"/proc/42/environ", False),
        ("exec", b"/usr/bin/ps", b"/proc/42/mem", True),
        ("exec", b"/tmp/bin/ps", b"/proc/42/environ", True),
        ("exec", b"/usr/bin/cat", b"/proc/42/environ", True),
        ("steady", b"/usr/bin/ps", b"/proc/42/environ", True),
    ],
)
def test_what_lists_processes_in_a_session_reads_their_environment_as_a_matter_of_course(
    phase: str, exe: bytes, path: bytes, fired: bool
) -> None:
    rows = seen("files", READ | {"phase": phase, "path": path, "exe_path": exe})
    assert fires(NAME, rows) == [fired]
