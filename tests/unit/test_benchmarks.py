"""What the benchmarks measure is what they say."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.pipeline import lengthened, measure
from benchmarks.screen import duration
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from learner.summary import summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit


def behaviour(recording: Recording) -> pa.Table:
    """What was seen, by whom and how, without how often and when."""
    summary = summarize(recording)
    is_behaviour = pc.invert(
        pc.is_in(
            summary.column("dimension").cast(pa.string()),
            value_set=pa.array(["input", "instance", "observation", "subject", "loss"]),
        )
    )
    return summary.filter(is_behaviour).select(
        ["instance_key", "workload_key", "phase", "dimension", "arch", "key", "exe_path"]
    )


def test_a_longer_recording_shows_the_same_behaviour(tmp_path: Path) -> None:
    short = Recording.open(shop_recording(tmp_path / "short"))
    long = lengthened(short, tmp_path / "long", 3)
    long.verify()
    for name in ("processes", "syscalls", "files"):
        assert long.table(name).num_rows == 3 * short.table(name).num_rows
    assert long.table("workloads") == short.table("workloads")
    assert pc.count_distinct(long.table("windows").column("window")).as_py() == 24
    assert behaviour(long) == behaviour(short)


def test_every_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(shop_recording(tmp_path / "short"), tmp_path, times=2, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    stages = ["", "read", "judge", "summarize", "merge", "learn", "features", "fit"]
    assert [line[2:].split(" ")[0] for line in lines] == stages
    rows = sum(Recording.open(tmp_path / "long.rec").table(name).num_rows for name in TABLES)
    assert lines[1].split()[3:4] == [f"{rows:,}"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(12.345, "12.3 s"), (0.0021, "2.1 ms"), (2e-6, "2 us"), (1.2e-7, "120 ns")],
)
def test_a_duration_has_its_unit(seconds: float, told: str) -> None:
    assert duration(seconds) == told
