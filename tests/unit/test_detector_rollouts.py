"""What a new image shows beyond its baseline, told as one."""

from __future__ import annotations

import pytest

from detector.deviations import Deviation
from detector.grading import Grade
from detector.rollouts import Rollouts
from ethogram.contracts.baseline import SyscallValue

pytestmark = pytest.mark.unit


def observed_of(most: int) -> str:
    grading = Grade("low", (), "a call", "it is new")
    found = [
        (Deviation("key", "steady", "syscalls", SyscallValue(nr=number, arch="x86_64"),
                   None, 1, 1, 1), grading)
        for number in range(most)
    ]  # fmt: skip
    told = Rollouts().take(found, workload_key="w", digest="sha256:ab", instance=1)
    assert told is not None
    return told.observed


def test_where_there_is_more_than_is_kept_it_says_so() -> None:
    assert observed_of(2000) == "image ab, new: 2000 of syscalls"
    assert observed_of(2001) == "image ab, new: 2000 of syscalls, and more"
