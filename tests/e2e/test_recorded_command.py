"""A command recorded by the command line: what coverage and the light tier say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ethogram.contracts.recording import Recording
from tests.e2e.command_line import ethogram
from tests.workloads import known

pytestmark = pytest.mark.e2e


def recorded(tmp_path: Path, *options: str) -> Recording:
    words = known(["call", 110, 23], ["storm-exec", 22, "/bin/true"], ["open", "/etc/passwd", "r"])
    done = ethogram("record", "-o", tmp_path / "rec", *options, "--", *words)
    assert done.returncode == 0, done.stderr
    return Recording.open(tmp_path / "rec")


def test_coverage_counts_what_the_tables_hold(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    (row,) = (row for row in recording.table("coverage").to_pylist() if row["phase"] == "startup")
    calls = recording.table("syscalls").to_pylist()
    assert row["calls"] == sum(one["calls"] for one in calls if one["phase"] == "startup")
    assert row["execs"] == 23
    assert row["opens"] == sum(
        one["calls"] for one in recording.table("files").to_pylist() if one["errno"] is None
    )
    assert row["state"] == "complete"


def test_the_light_tier_counts_execs_and_says_what_it_cannot_know(tmp_path: Path) -> None:
    recording = recorded(tmp_path, "--tier", "light")
    (row,) = recording.table("coverage").to_pylist()
    assert (row["execs"], row["calls"], row["opens"]) == (23, None, None)
    assert recording.table("syscalls").num_rows == 0
