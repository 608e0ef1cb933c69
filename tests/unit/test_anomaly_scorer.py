"""The process that asks models: confined, started again when it ends, and never waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from detector.anomaly.replies import Loaded, Refused, Reply, Scored, Strange
from detector.anomaly.scorer import Patience, Scorer, Wanted
from ethogram.contracts.baseline import ModelReference
from tests.anomaly import make_piece, write_model
from tests.unit.test_anomaly_scoring import FLOOD, GRAMS

pytestmark = pytest.mark.unit

QUICK = Patience(first_s=0.05, longest_s=0.1, again_s=0.05)


class Watching:
    """A sensor that hears what the scorer says."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.heard: list[Reply] = []
        self.number = 0

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until *is_so*, at most a minute."""
        tick = threading.Event()
        for _ in range(3000):
            self.heard += self.scorer.take()
            if is_so():
                return
            tick.wait(0.02)
        raise AssertionError(f"{self.scorer.state}, {self.scorer.trouble}: {self.heard}")

    def flood(self) -> None:
        """See a window of the model that is strange."""
        for _ in range(5):
            self.number += 1
            piece = make_piece(self.number, calls=FLOOD, grams=GRAMS)
            self.scorer.offer(piece.frame(self.number))

    def has(self, kind: type[Reply]) -> bool:
        return any(isinstance(one, kind) for one in self.heard)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelReference]:
    place = tmp_path_factory.mktemp("models")
    return place / "x.baseline.yaml", write_model(place)


@contextmanager
def watching(
    model: tuple[Path, ModelReference], *, memory_bytes: int = 1 << 30, patience: Patience = QUICK
) -> Iterator[Watching]:
    scorer = Scorer(memory_bytes=memory_bytes, patience=patience)
    try:
        scorer.start()
        scorer.want({1: Wanted(*model)})
        yield Watching(scorer)
    finally:
        scorer.close()


def test_it_is_confined_and_scores_again_after_it_was_killed(
    model: tuple[Path, ModelReference],
) -> None:
    with watching(model) as watch:
        watch.until(lambda: watch.has(Loaded))
        pid = watch.scorer.pid
        assert pid is not None
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if not os.geteuid() else ()
        assert {int(status[one], 16) for one in sets} <= {0}
        assert status["NoNewPrivs"] == "1"
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line.split()[3] for line in limits.splitlines() if "address space" in line] == [
            str(1 << 30)
        ]
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
        assert "PATH" in Path(f"/proc/{pid}/environ").read_text()
        assert "HOME" not in Path(f"/proc/{pid}/environ").read_text()
        watch.flood()
        watch.until(lambda: watch.has(Strange))

        os.kill(pid, signal.SIGKILL)
        watch.until(lambda: watch.scorer.restarts == 1)
        assert watch.scorer.trouble == "it was killed by SIGKILL"
        watch.heard.clear()
        watch.until(lambda: watch.has(Loaded))
        watch.flood()
        watch.until(lambda: watch.has(Strange))
        watch.until(lambda: watch.scorer.trouble is None)  # said after what is strange
        assert watch.scorer.pid != pid
        watch.scorer.want({})
        watch.until(lambda: watch.scorer.state == "idle")
        assert watch.scorer.pid is None


def test_one_that_does_not_answer_is_killed_and_what_it_was_not_given_is_counted(
    model: tuple[Path, ModelReference],
) -> None:
    patience = Patience(piece_s=0.5, first_s=0.05)
    with watching(model, patience=patience) as watch:
        watch.until(lambda: watch.has(Loaded))
        assert watch.scorer.pid is not None
        os.kill(watch.scorer.pid, signal.SIGSTOP)
        watch.flood()
        watch.until(lambda: watch.scorer.restarts == 1)
        assert watch.scorer.trouble == "it did not answer for 0.5 s and was killed"
        assert watch.scorer.dropped == 5
        assert not watch.has(Scored)


def test_one_that_needs_too_much_memory_is_said_and_not_tried_all_the_time(
    model: tuple[Path, ModelReference],
) -> None:
    patience = Patience(first_s=600)
    with watching(model, memory_bytes=96 << 20, patience=patience) as watch:
        watch.until(lambda: watch.scorer.state == "restarting")
        assert watch.scorer.trouble is not None
        watch.flood()
        watch.until(lambda: watch.scorer.dropped == 5)
        assert watch.scorer.restarts == 1


def test_a_sensor_is_never_held_up_by_what_waits(model: tuple[Path, ModelReference]) -> None:
    scorer = Scorer()  # for which there is nothing to do: nobody takes what it is offered
    for _ in range(20):
        scorer.offer(bytes(1 << 20))
    assert scorer.dropped == 12
    scorer.close()


def test_a_model_that_is_missing_is_asked_once_it_is_there(
    model: tuple[Path, ModelReference], tmp_path: Path
) -> None:
    baseline, reference = model
    with watching((tmp_path / "x.baseline.yaml", reference)) as watch:
        watch.until(lambda: watch.has(Refused))
        (tmp_path / reference.file).write_bytes(baseline.with_name(reference.file).read_bytes())
        watch.until(lambda: watch.has(Loaded))


def test_the_sensor_imports_nothing_that_models_need() -> None:
    code = (
        "import sys, profiler, detector.anomaly.layer, ethogram.cli.watch\n"
        "from detector.anomaly.scorer import Scorer\n"
        "Scorer().close()\n"
        "import detector.watch\n"
        "print(sorted({'pandas', 'scipy', 'sklearn', 'skops'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_process_that_cannot_be_started_is_tried_again(
    model: tuple[Path, ModelReference], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with watching(model) as watch:
        watch.until(lambda: watch.scorer.restarts > 1)
        assert watch.scorer.trouble == "it cannot be started: no such file or directory"
        monkeypatch.undo()
        watch.until(lambda: watch.has(Loaded))
