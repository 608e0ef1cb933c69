"""The sign that the kernel side has to give: heard, late, or not possible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ethogram.contracts.events import RecordKind
from profiler.pulse import Pulse
from profiler.ring import STRUCT_OF, Records

pytestmark = pytest.mark.unit

S = 10**9


def made(number: int) -> dict[RecordKind, list[Records]]:
    heads = np.zeros(1, dtype=STRUCT_OF[RecordKind.CGROUP].dtype)
    heads["cgroup_id"] = number
    return {RecordKind.CGROUP: [Records(heads, [b""])]}


@pytest.fixture
def pulse(tmp_path: Path) -> Pulse:
    pulse = Pulse(tmp_path / "ethogram", every_ns=10 * S, late_ns=5 * S)
    pulse.prepare()
    return pulse


def beaten(pulse: Pulse, at_ns: int) -> int:
    """Let *pulse* make its cgroup, and return the number of that."""
    pulse.beat(at_ns)
    assert pulse._number is not None
    return pulse._number


def test_what_is_reported_is_heard(pulse: Pulse) -> None:
    number = beaten(pulse, 100 * S)
    pulse.take(made(number + 1), 101 * S)
    assert pulse.heard_ns is None
    pulse.take(made(number), 102 * S)
    assert pulse.heard_ns == 102 * S
    assert not pulse.is_silent(200 * S)


def test_nothing_is_left_and_it_beats_no_more_often_than_it_is_to(
    pulse: Pulse, tmp_path: Path
) -> None:
    number = beaten(pulse, 100 * S)
    pulse.take(made(number), 100 * S)
    pulse.beat(109 * S)
    assert pulse._number is None
    assert beaten(pulse, 110 * S)
    assert list((tmp_path / "ethogram").iterdir()) == []


def test_a_silence_is_told_when_it_begins(pulse: Pulse) -> None:
    beaten(pulse, 100 * S)
    assert [pulse.is_silent(at * S) for at in (104, 105, 106)] == [False, True, False]
    beaten(pulse, 110 * S)
    assert not pulse.is_silent(116 * S), "it was told"
    number = beaten(pulse, 120 * S)
    pulse.take(made(number), 121 * S)
    beaten(pulse, 130 * S)
    assert pulse.is_silent(135 * S), "it had been heard between"


def test_where_no_cgroup_can_be_made_nothing_is_late(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pulse = Pulse(tmp_path / "file" / "ethogram")
    pulse.prepare()
    pulse.beat(100 * S)
    assert (pulse.is_able, pulse.is_silent(1000 * S)) == (False, False)
