"""The same bytes from a Dask cluster of several processes on this machine, one of them killed."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest

from ethogram.cli.run import run
from ethogram.contracts.recording import Recording
from learner import summary as summaries
from learner.parallel import InThisProcess, executor_of
from learner.rows import typed
from learner.summary import summarize_all
from profiler import compaction
from tests.recordings import shop_recording

pytestmark = pytest.mark.e2e


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    monkeypatch.setattr(compaction, "_GROUP_ROWS", 5)
    monkeypatch.setattr(summaries, "FRAGMENT_ROWS", 9)
    return [
        Recording.open(shop_recording(tmp_path / name, recording_id=name)) for name in ("a", "b")
    ]


class Killing(Executor):
    """Hands work on to a cluster, and kills a worker by its number after some of it."""

    def __init__(self, executor: Any, after: int) -> None:
        self._executor, self._left = executor, after
        self.killed: int | None = None

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future = self._executor.submit(fn, *args, **kwargs)
        self._left -= 1
        if self._left == 0:
            self.killed = next(iter(self._executor._client.run(os.getpid).values()))
            os.kill(self.killed, signal.SIGKILL)
        return future


def test_a_cluster_that_loses_a_worker_gives_the_same_bytes(recordings: list[Recording]) -> None:
    alone = typed(summarize_all(recordings, InThisProcess()))
    with executor_of(jobs=2, dask="local") as executor:
        killing = Killing(executor, after=20)
        assert typed(summarize_all(recordings[::-1], killing)).equals(alone)
        assert killing.killed is not None
        assert killing.killed not in executor._client.run(os.getpid).values()  # type: ignore[attr-defined]  # Dask's own


def test_the_command_line_learns_on_a_cluster_at_an_address(
    recordings: list[Recording], tmp_path: Path
) -> None:
    import distributed  # noqa: PLC0415  where it is needed

    places = [str(one.path) for one in recordings]
    learn = ["learn", *places, "--allow", "thin"]
    assert run([*learn, "-o", str(tmp_path / "alone"), "--jobs", "1"]) == 0
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        assert run([*learn, "-o", str(tmp_path / "cluster"), "--dask", address]) == 0
    assert list((tmp_path / "alone").glob("*.skops"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "alone").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "cluster").iterdir()
    }
