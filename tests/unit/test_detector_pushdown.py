"""What baselines allow is no news, and of whom nobody judges nothing is."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from detector.library import Library
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


class _Kernel:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: dict[int, bytes | None] = {}
        self.passing: set[int] = set()

    def push(self, calls: Mapping[int, bytes | None]) -> None:
        self.calls.update(calls)

    def pass_files(self, instances: Collection[int]) -> None:
        self.passing |= set(instances)

    def tell_files(self, instances: Collection[int]) -> None:
        self.passing -= set(instances)


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
    kernel = _Kernel()
    Pushdown(shop.watched, kernel).take()
    judged = {number: known for number, known in shop.watched.instances().items() if known}
    assert judged
    for number, known in judged.items():
        names = {rule.value.name for rule in known.baseline.rules.of_workload().syscalls}
        assert names
        bits = int.from_bytes(kernel.calls[number] or b"", "little")
        assert bits == sum(1 << (number_of(ARCH, name or "") or 0) for name in names)


def test_calls_of_another_architecture_are_none_of_these(
    shop: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    kernel = _Kernel()
    Pushdown(shop.watched, kernel).take()
    assert {calls for calls in kernel.calls.values() if calls is not None} == {bytes(64)}


def test_files_pass_only_of_who_has_a_baseline_and_did_nothing_strange(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel)
    judged = {number for number, known in shop.watched.instances().items() if known}
    strange, *others = sorted(judged)
    assert others
    pushdown.pass_files(shop.live, {(strange, "files"), (others[0], "peers")})
    assert kernel.passing == set(others)
    pushdown.pass_files(shop.live, set())
    assert kernel.passing == judged


def test_files_of_whom_more_is_known_now_are_told_again(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel)
    pushdown.pass_files(shop.live, set())
    renamed = shop.live.table("instances")[:1]
    number = renamed.column("instance")[0].as_py()
    assert number in kernel.passing
    batch = renamed.to_batches()[0]
    shop.live.append("instances", {name: batch.column(name) for name in batch.schema.names})
    pushdown.pass_files(shop.live, set())
    assert number not in kernel.passing


def test_files_of_another_baseline_are_told_again(shop: Replay) -> None:
    kernel = _Kernel()
    pushdown = Pushdown(shop.watched, kernel)
    pushdown.pass_files(shop.live, set())
    assert kernel.passing
    shop.watched.replace(Library.load(shop.baselines))
    pushdown.pass_files(shop.live, set())
    assert not kernel.passing
