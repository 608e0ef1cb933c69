"""Much at once: everything is there, or exactly what went beyond a quota is lost, and whose it was.

Default window, default rings, the installed command; the generators count for themselves. The same
storms at full size are in `benchmarks/storms.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import storms

pytestmark = pytest.mark.e2e


def assert_complete(told: storms.Told) -> None:
    assert told.losses == []
    assert told.recorded == told.wanted
    assert set().union(*told.states.values()) == {"complete"}


def test_two_processes_that_open_distinct_files_up_to_the_quota_lose_none(tmp_path: Path) -> None:
    assert_complete(storms.files(tmp_path, 50_000, 1))


def test_every_exec_of_a_storm_is_there_with_its_end(tmp_path: Path) -> None:
    assert_complete(storms.execs(tmp_path, 10_000))


def test_ten_thousand_connections_are_there_at_both_ends(tmp_path: Path) -> None:
    assert_complete(storms.connections(tmp_path, 10_000))


def test_beyond_the_quota_each_file_is_counted_for_the_one_that_floods(tmp_path: Path) -> None:
    told = storms.flood(tmp_path, 1_009)
    (loss,) = told.losses
    flooding, calm = told.states
    if loss[0] != flooding:
        flooding, calm = calm, flooding
    assert loss == (flooding, "quota", "files", 1_009)
    assert told.recorded == told.wanted
    assert "incomplete" in told.states[flooding]
    assert told.states[calm] == {"complete"}


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_containers_that_come_and_go_two_at_a_time_are_there_or_said(
    runtime: str, tmp_path: Path
) -> None:
    told = storms.containers(tmp_path, 23, runtime=runtime)
    # Where the reader of names itself gets no processor while one lives, that is said.
    assert {loss[1] for loss in told.losses} <= {"unresolved"}
    assert told.recorded == 23 * len(told.states)
    assert len(told.states) == 23 or told.losses
    assert len(told.states) >= 15
