"""The benchmark of traces: what it reads and refuses, its figures, and who may change a score."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.sequences import ENSEMBLE, area, detected, main, scored_of
from benchmarks.traces import made, read
from ethogram.errors import UsageError

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "benchmarks" / "data" / "traces.parquet"


def written(path: Path, rows: list[tuple[Any, ...]], kind: pa.DataType | None = None) -> Path:
    columns = [list(column) for column in zip(*rows, strict=True)]
    arrays = [pa.array(column) for column in columns[:3]]
    calls = pa.array(columns[3], kind or pa.list_(pa.int16()))
    pq.write_table(pa.table([*arrays, calls], ["trace", "split", "group", "calls"]), path)
    return path


def whole(train: int = 20, **changed: Any) -> list[tuple[Any, ...]]:
    """Return rows of a file that can be scored; *changed* are the columns of one more."""
    random = np.random.default_rng(1)

    def calls() -> list[int]:
        return list(np.resize([3, 4, 5, 6, 7], 40 + int(random.integers(0, 9))))

    rows: list[tuple[Any, ...]] = [(f"t{n}", "train", "", calls()) for n in range(train)]
    rows += [(f"v{n}", "validation", None, calls()) for n in range(9)]
    rows += [(f"a{n}", "attack", "x", [9, 4, 9, 3]) for n in range(4)]
    extra = {"trace": "t", "split": "validation", "group": "", "calls": [3, 4]} | changed
    return [*rows, tuple(extra.values())]


def run(file: Path) -> subprocess.CompletedProcess[str]:
    # As a person starts it: another place is the first on the path than where the packages are.
    return subprocess.run(
        [sys.executable, "benchmarks/sequences.py", file],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def table(printed: str, number: int = 0) -> dict[str, list[float]]:
    (part,) = json.loads(printed)["parts"]
    return {row[0]: row[1:] for row in part["tables"][number]["rows"]}


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    assert area(np.array([0.0, 1, 2]), np.array([3.0, 4])) == 1
    assert area(np.array([1.0, 2]), np.array([1.0, 2])) == 0.5
    assert area(np.array([1.0]), np.zeros(0)) is None


def test_detection_never_takes_more_false_alarms_than_it_says() -> None:
    normal = np.arange(100.0)
    assert detected(normal, np.array([98.5, 97.5]), 0.01) == 0.5
    assert detected(normal, np.array([98.5, 97.5]), 0.02) == 1
    assert detected(np.zeros(100), np.array([0.0, 1.0]), 0.05) == 0.5


def test_the_shipped_file_is_what_the_generator_makes(tmp_path: Path) -> None:
    made(tmp_path / "made.parquet")
    assert pq.read_table(tmp_path / "made.parquet").equals(pq.read_table(SHIPPED))


def test_null_and_short_traces_arescored_of(tmp_path: Path) -> None:
    for calls in (None, [], [3]):
        traces = read(written(tmp_path / "t.parquet", whole(calls=calls)))
        assert len(traces.calls[-1]) == len(calls or [])


def test_it_runs_from_the_root_of_the_repository(tmp_path: Path) -> None:
    done = run(written(tmp_path / "t.parquet", whole(calls=None)))
    assert done.returncode == 0, done.stderr
    assert table(done.stdout)[ENSEMBLE][0] > 0.9


def test_a_model_for_each_group_scores_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"{g}{n}", s, g, c) for g in ("p", "q") for n, s, _, c in whole()]
    main([str(written(tmp_path / "t.parquet", rows)), "--per-group"])
    printed = capsys.readouterr()
    assert "2 models" in printed.err
    assert set(table(printed.out, 1)) == set(table(printed.out))
    assert table(printed.out)[ENSEMBLE][0] > 0.9


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        (whole(split="test"), "the split `test`"),
        (whole(calls=[-1]), "not between 0 and 65533"),
        (whole(calls=[None]), "holds null"),
        ([row for row in whole() if row[1] != "attack"], "no trace of the split `attack`"),
        ([row for row in whole() if row[1] != "train"], "no trace of the split `train`"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    rows: list[tuple[Any, ...]], cause: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=cause):
        read(written(tmp_path / "t.parquet", rows))


def test_what_is_no_file_of_traces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no")
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "x")
    pq.write_table(pa.table({"trace": ["a"]}), tmp_path / "y")
    with pytest.raises(UsageError, match="no column `split`"):
        read(tmp_path / "y")
    with pytest.raises(UsageError, match="not a list"):
        read(written(tmp_path / "z", [("a", "train", "", 3)], pa.int64()))


def test_errors_are_said_in_one_line(tmp_path: Path) -> None:
    for rows, options, cause in (
        (whole(4), [], "4 traces of the split `train` are too few"),
        (whole(), ["--per-group"], "the group `x` has no trace of the split `train`"),
    ):
        with pytest.raises(SystemExit) as caught:
            main([str(written(tmp_path / "t.parquet", rows)), *options])
        assert str(caught.value).startswith(f"error: {cause}")


def test_a_score_depends_on_no_other_trace_of_the_test(tmp_path: Path) -> None:
    rows = whole()
    few = [row for row in rows if row[1] == "train" or row[0] in {"v3", "a1"}]
    every = scored_of(read(written(tmp_path / "t.parquet", rows)), None)
    some = scored_of(read(written(tmp_path / "f.parquet", few[::-1])), None)
    for name in every.normal:
        np.testing.assert_allclose(some.normal[name], every.normal[name][[3]])
        np.testing.assert_allclose(some.attack[name], every.attack[name][[1]])
