"""A call outside the baseline is told with the process that made it first."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.contracts.finding import Finding
from tests.e2e.command_line import ethogram, findings_in
from tests.workloads import known

pytestmark = pytest.mark.e2e

GETPGID, GETSID, UMASK, PERSONALITY, GETPRIORITY = 121, 124, 95, 135, 140
WINDOW = ("--window", "200ms")


def script(*commands: list[list[object]]) -> tuple[str, ...]:
    """Return a shell that runs the workload with the actions of each of *commands*."""
    lines = (" ".join(f"'{word}'" for word in known(*actions)) for actions in commands)
    return "sh", "-c", "; ".join((*lines, ":"))


def calls(*numbers: int) -> list[list[object]]:
    return [["call", number, 1] for number in numbers]


@pytest.fixture(scope="module")
def baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a shell that runs the workload does, without any call of note."""
    place = tmp_path_factory.mktemp("callers")
    done = ethogram("record", "-o", place / "r", *WINDOW, "--", *script(calls(39), calls(39)))
    assert done.returncode == 0, done.stderr
    done = ethogram("learn", "--allow", "thin", "--no-model", "r", "-o", "b", cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "b"


def told(baselines: Path, *commands: list[list[object]]) -> dict[str, Finding]:
    """Return findings of calls by what they tell of."""
    done = ethogram(
        "watch", "--baseline", baselines, *WINDOW, "--format", "jsonl", "--", *script(*commands)
    )
    found = [
        one for one in findings_in(done.stdout.splitlines()) if one.rule == "deviation-syscalls"
    ]
    return {one.evidence.observed: one for one in found}


def test_a_call_names_the_process_that_made_it_first_and_who_began_that(baselines: Path) -> None:
    first, second = calls(39, GETPGID), calls(GETPGID, GETSID)
    found = told(baselines, calls(39), first, second)
    by_call = {name: one.process for name, one in found.items()}
    assert set(by_call) == {"getpgid (x86_64)", "getsid (x86_64)"}, found
    for name, actions in (("getpgid", first), ("getsid", second)):
        process = by_call[f"{name} (x86_64)"]
        assert process is not None
        assert list(process.argv) == known(*actions)
        assert process.candidates is None
        assert [one.exe for one in process.ancestry] == ["/usr/bin/dash"]


def test_several_at_once_name_one_that_made_such_a_call(baselines: Path) -> None:
    actions = calls(UMASK, PERSONALITY, GETPGID, GETSID, GETPRIORITY)
    (found,) = told(baselines, calls(39), actions).values()
    assert found.evidence.observed.startswith("5 at once")
    assert found.process is not None
    assert list(found.process.argv) == known(*actions)
