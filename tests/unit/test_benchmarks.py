"""What the benchmarks measure is what they say."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks import findings
from benchmarks.__main__ import ROUNDS, SAMPLE
from benchmarks.hooks import source
from benchmarks.pipeline import lengthened, measure
from benchmarks.report import (
    Column,
    Part,
    Table,
    Target,
    as_markdown,
    duration,
    replaced,
    size,
)
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from learner.summary import summarize
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]


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


def test_every_stage_is_measured(tmp_path: Path) -> None:
    part = measure(shop_recording(tmp_path / "short"), tmp_path, times=2, rounds=1)
    stages = ["read", "judge", "summarize", "merge", "learn", "steady", "fit"]
    assert [str(row[0]).split(" ")[0] for row in part.tables[0].rows] == stages
    rows = sum(Recording.open(tmp_path / "long.rec").table(name).num_rows for name in TABLES)
    assert part.tables[0].rows[0][1] == rows


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(12.345, "12.3 s"), (0.0021, "2.1 ms"), (2e-6, "2 us"), (1.2e-7, "120 ns"), (-7e-8, "-70 ns")],
)
def test_a_duration_has_its_unit(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [(100, "100 B"), (65536, "64 KiB"), (6 << 30, "6 GiB"), (123 << 20, "123 MiB")],
)
def test_a_size_has_its_unit(count: float, told: str) -> None:
    assert size(count) == told


PART = Part(
    "calls",
    "What a call costs",
    "least of 3 rounds",
    [Table((Column("state"), Column("least", "seconds")), (("nothing", 1.2e-7), ("full", None)))],
    [Target("at once", 5e-8, 6e-8, "seconds"), Target("at all", 7e-8, 6e-8, "seconds")],
    ["nothing lost"],
)


def test_a_target_is_reached_or_not_or_was_not_measured() -> None:
    unknown = Target("by whom", None, 1, "share")
    verdicts = [target.verdict for target in (*PART.targets, unknown)]
    assert verdicts == ["reached", "not reached", "not measured"]


def test_a_document_keeps_what_is_outside_of_its_blocks() -> None:
    document = "# Title\n\n<!-- calls: begin -->\nold\n<!-- calls: end -->\n\nprose\n"
    once = replaced(document, {"calls": as_markdown(PART)})
    assert once.startswith("# Title\n\n<!-- calls: begin -->\n(least of 3 rounds.)\n")
    assert once.endswith("\n- nothing lost\n<!-- calls: end -->\n\nprose\n")
    assert "| nothing | 120 ns |\n| full | - |\n" in once
    assert "| state | least |\n| --- | ---: |\n" in once
    assert "| at all | 60 ns | 70 ns | not reached |\n" in once
    assert replaced(once, {"calls": as_markdown(PART)}) == once


def test_a_document_without_a_place_for_a_block_is_refused() -> None:
    with pytest.raises(KeyError, match="calls"):
        replaced("# Title\n", {"calls": "text"})


def test_the_document_has_a_place_for_every_part() -> None:
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    replaced(document, dict.fromkeys([*ROUNDS, "machine"], ""))


def test_of_very_many_findings_each_is_told_counted_or_said_to_be_dropped(tmp_path: Path) -> None:
    part = findings.measure(SAMPLE, tmp_path, number=550, rounds=1)
    judged, sent = part.tables
    assert len(judged.rows) == 6
    for _, number, told, counted, *_ in judged.rows:
        assert number == counted == 550
        assert isinstance(told, int)
        assert 0 < told <= number
    assert judged.rows[0][2] < 100  # type: ignore[operator]  # of one workload few are told
    for _, number, kept, dropped, _ in sent.rows:
        assert (kept + dropped) == number  # type: ignore[operator]


def test_the_empty_programs_let_everything_happen() -> None:
    text = source(("tp_btf/sys_enter", "cgroup/connect4", "cgroup_skb/ingress"))
    assert [int(line.split("return ")[1][0]) for line in text.splitlines() if "return" in line] == [
        0,
        1,
        1,
    ]
