"""A call outside the baseline is told with the process that made it first, where that is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from detector.judge import CallerOf
from tests.recordings import shop_recording
from tests.replay import Replay
from tests.unit.test_detector_judge import write_baselines

pytestmark = pytest.mark.unit

STRANGE = {"workload": 1, "instance": 1, "arch": "x86_64", "nr": 101, "name": "ptrace", "calls": 1}
Begin = Callable[[CallerOf], Replay]


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Begin:
    """Return what begins a detector that knows the shop, and who made calls."""
    place = tmp_path_factory.mktemp("callers")
    recording = shop_recording(place / "rec")
    baselines = write_baselines(recording, place / "baselines")

    def made(caller_of: CallerOf) -> Replay:
        replay = Replay(baselines, caller_of=caller_of)
        assert replay.recording(recording) == []
        return replay

    return made


def test_a_call_is_told_with_the_process_that_made_it_first(begin: Begin) -> None:
    asked: list[Any] = []

    def caller_of(*call: Any) -> str | None:
        asked.append(call)
        return "1-worker"

    knowing = begin(caller_of)
    assert asked == []
    (found,) = knowing.rows(8, syscalls=[STRANGE])
    assert asked == [(1, found.phase, "x86_64", 101)]
    assert found.process is not None
    assert found.process.exec_id == "1-worker"
    assert [one.exec_id for one in found.process.ancestry] == ["1-main"]
    assert found.process.entry is not None
    assert found.process.entry.exec_id == "1-main"
    assert found.process.candidates is None


@pytest.mark.parametrize("exec_id", [None, "nobody"])
def test_it_is_the_same_finding_where_that_is_not_known(begin: Begin, exec_id: str | None) -> None:
    (known,) = begin(lambda *_: "1-worker").rows(8, syscalls=[STRANGE])
    (found,) = begin(lambda *_: exec_id).rows(8, syscalls=[STRANGE])
    assert found.process is None
    assert found.fingerprint == known.fingerprint


def test_several_calls_at_once_are_told_with_a_process_that_made_one(begin: Begin) -> None:
    calls = {121: "getpgid", 124: "getsid", 95: "umask", 140: "getpriority"}
    who = {124: "1-worker", 140: "1-main"}
    rows = [STRANGE | {"nr": nr, "name": name} for nr, name in calls.items()]
    (found,) = begin(lambda *call: who.get(call[3])).rows(8, syscalls=rows)
    assert found.evidence.observed.startswith("4 at once")
    assert found.process is not None
    assert found.process.exec_id == "1-worker"
