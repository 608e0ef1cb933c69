"""What a new image shows beyond its baseline, told as one."""

from __future__ import annotations

import pytest

from detector.deviations import Deviation
from detector.grading import Grade
from detector.rollouts import Rollouts
from ethogram.contracts.baseline import SyscallValue

pytestmark = pytest.mark.unit


def shown(most: int) -> list[tuple[Deviation, Grade]]:
    grading = Grade("low", (), "a call", "it is new")
    return [
        (Deviation("key", "steady", "syscalls", SyscallValue(nr=number, arch="x86_64"),
                   None, 1, 1, 1), grading)
        for number in range(most)
    ]  # fmt: skip


def observed_of(most: int) -> str:
    told = Rollouts().take(shown(most), workload_key="w", digest="sha256:ab", instance=1)
    assert told is not None
    return told.observed


def test_where_there_is_more_than_is_kept_it_says_so() -> None:
    assert observed_of(2000) == "image ab, new: 2000 of syscalls"
    assert observed_of(2001) == "image ab, new: 2000 of syscalls, and more"


def test_of_very_many_new_images_the_last_are_remembered() -> None:
    rollouts = Rollouts()
    for number in range(30):
        rollouts.take(shown(1000), workload_key="w", digest=f"sha256:{number}", instance=1)
    assert rollouts.size == 20_000
    told = rollouts.take(shown(1), workload_key="w", digest="sha256:29", instance=1)
    assert told is not None
    assert told.observed == "image 29, new: 1000 of syscalls"
    told = rollouts.take(shown(1), workload_key="w", digest="sha256:0", instance=1)
    assert told is not None
    assert told.observed == "image 0, new: 1 of syscalls"
