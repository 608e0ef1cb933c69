"""What baselines allow is no news, and of whom nobody judges nothing is."""

from pathlib import Path

import pytest

from detector.pushdown import Pushdown
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.recording import Recording
from ethogram.contracts.syscall_names import number_of
from learner.learn import learn
from learner.summary import summarize
from tests.recordings import shop_recording
from tests.replay import Replay

pytestmark = pytest.mark.unit

ARCH = "x86_64"  # of what was recorded


@pytest.fixture
def shop(tmp_path: Path) -> Replay:
    """The shop, seen by a detector that has a baseline of one of its workloads."""
    recording, baselines = shop_recording(tmp_path / "rec"), tmp_path / "baselines"
    baselines.mkdir()
    for number, baseline in enumerate(learn(summarize(Recording.open(recording)))):
        (baselines / f"{number}.baseline.yaml").write_text(dump_baseline(baseline))
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def test_each_allowed_call_is_a_bit(shop: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: ARCH)
    pushed: dict[int, bytes | None] = {}
    Pushdown(shop.watched, pushed.update).take()
    judged = {number: known for number, known in shop.watched.instances().items() if known}
    assert judged
    for number, known in judged.items():
        names = {rule.value.name for rule in known.baseline.rules.of_workload().syscalls}
        assert names
        bits = int.from_bytes(pushed[number] or b"", "little")
        assert bits == sum(1 << (number_of(ARCH, name or "") or 0) for name in names)


def test_calls_of_another_architecture_are_none_of_these(
    shop: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    pushed: dict[int, bytes | None] = {}
    Pushdown(shop.watched, pushed.update).take()
    assert {calls for calls in pushed.values() if calls is not None} == {bytes(64)}
