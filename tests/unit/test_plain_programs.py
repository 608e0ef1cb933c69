"""Execs pass of who did nothing strange, and of programs that need no arguments to be judged."""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest

from detector.library import Library
from detector.plain_programs import PlainPrograms, may_pass
from ethogram.contracts.baseline import dump_baseline
from ethogram.contracts.flags import ProcessFlag
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import ENUMS
from learner.learn import learn
from learner.summary import summarize
from profiler.allowed_programs import is_plain
from profiler.loaders.base import PROGRAM
from tests.recordings import shop_recording
from tests.replay import Replay

pytestmark = pytest.mark.unit


class _Kernel:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.passing: set[int] = set()
        self.asked: Callable[[bytes], bool] | None = None

    def pass_programs(self, instances: Collection[int], may: Callable[[bytes], bool]) -> None:
        self.passing |= set(instances)
        self.asked = may

    def tell_programs(self, instances: Collection[int]) -> None:
        self.passing -= set(instances)


@pytest.fixture
def shop(tmp_path: Path) -> Replay:
    recording, baselines = shop_recording(tmp_path / "rec"), tmp_path / "baselines"
    baselines.mkdir()
    for number, baseline in enumerate(learn(summarize(Recording.open(recording)))):
        (baselines / f"{number}.baseline.yaml").write_text(dump_baseline(baseline))
    replay = Replay(baselines)
    replay.recording(shop_recording(tmp_path / "again"))
    return replay


def test_programs_pass_only_of_who_has_a_baseline_and_did_nothing_strange(shop: Replay) -> None:
    kernel = _Kernel()
    programs = PlainPrograms(shop.watched, kernel)
    judged = {number for number, known in shop.watched.instances().items() if known}
    strange, *others = sorted(judged)
    assert others
    programs.take(shop.live, {(strange, "execs"), (others[0], "files")})
    assert kernel.passing == set(others)
    assert kernel.asked is may_pass


def test_programs_of_another_baseline_are_told_again(shop: Replay) -> None:
    kernel = _Kernel()
    programs = PlainPrograms(shop.watched, kernel)
    programs.take(shop.live, set())
    told = set(kernel.passing)
    assert told
    shop.watched.replace(Library.load(shop.baselines))
    programs.take(shop.live, {(number, "execs") for number in told})
    assert not kernel.passing


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        (b"/usr/sbin/nginx", True),
        (b"/usr/bin/true", True),
        (b"", False),
        (b"/bin/busybox", False),
        (b"/usr/bin/dash", False),
        (b"/usr/bin/python3.11", False),
        (b"/usr/bin/curl", False),
        (b"/lib64/ld-linux-x86-64.so.2", False),
        (b"/usr/lib/ld-musl-x86_64.so.1", False),
    ],
)
def test_whose_arguments_say_what_it_does_is_looked_at(path: bytes, passes: bool) -> None:
    assert may_pass(path) is passes


def _program(*, flags: int = 0, stdin: str = "null", word: bytes = b"nginx") -> np.void:
    program = np.zeros(1, PROGRAM)
    program["flags"] = flags
    program["stdio"][:, 0] = ENUMS["stdio"].index(stdin)
    program["first_word"] = np.frombuffer(word.ljust(64, b"\0"), np.uint8)
    return program[0]


def test_only_plain_execs_pass() -> None:
    assert is_plain(_program())
    assert is_plain(_program(stdin="pipe", flags=int(ProcessFlag.UPPER_LAYER)))
    assert not is_plain(_program(stdin="socket"))
    assert not is_plain(_program(flags=int(ProcessFlag.MEMFD)))
    assert not is_plain(_program(flags=int(ProcessFlag.INTERPRETED)))
    assert not is_plain(_program(flags=int(ProcessFlag.PRIVILEGES_GAINED)))
    assert not is_plain(_program(word=b"x" * 63))
