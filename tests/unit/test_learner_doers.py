"""Which process a summary names as an example of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import read_summary, write_summary
from learner.learn import learn
from learner.summary import merge, summarize
from tests.recordings import START_NS, WINDOW_NS, make_recording

pytestmark = pytest.mark.unit

UNIT = {"workload": 1, "kind": "Unit", "name": "web.service", "container_kind": "none"}
INSTANCES = [{"instance": n, "workload": 1, "runtime_id": f"run-{n}"} for n in (1, 2)]
MINE = {"workload": 1, "instance": 1}
EXECUTABLES = [{"exe": 1, "path": b"/bin/a"}, {"exe": 2, "path": b"/bin/b"}]


def at(window: float) -> int:
    return START_NS + int(window * WINDOW_NS)


def process(name: str, exe: int, *lived: float, **columns: Any) -> dict[str, Any]:
    start, *end = lived
    times = {"start": at(start), "end": at(end[0]) if end else None}
    return MINE | {"exec_id": name, "exe": exe, "window": int(start)} | times | columns


def opened(window: int, exe: int, path: bytes, **columns: Any) -> dict[str, Any]:
    row = {"window": window, "exe": exe, "path": path, "access": int(Access.READ), "calls": 1}
    return MINE | row | columns


def summary_of(place: Path, **tables: Any) -> pa.Table:
    tables = {"workloads": [UNIT], "instances": INSTANCES, "executables": EXECUTABLES} | tables
    return summarize(Recording.open(make_recording(place, **tables)))


def examples(summary: pa.Table, dimension: str) -> dict[bytes, str | None]:
    frame: pd.DataFrame = summary.to_pandas()
    rows = frame[frame.dimension == dimension]
    return {
        key: None if pd.isna(name) else name
        for key, name in zip(rows.key, rows.exec_id, strict=True)
    }


def test_a_file_names_a_process_that_ran_the_executable_then_and_there(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path / "r",
        processes=[
            process("gone", 1, 0, 1.5),
            process("there", 1, 2, 6),
            process("later", 1, 5),
            process("other-program", 2, 0),
            process("other-instance", 1, 0, instance=2),
        ],
        files=[opened(3, 1, b"/x"), opened(0, 1, b"/early"), opened(9, 1, b"/late")],
    )
    assert examples(summary, "files") == {
        b'["/x","r"]': "there",
        b'["/early","r"]': "gone",
        b'["/late","r"]': "later",
    }


def test_workers_that_came_and_went_do_not_hide_the_process_that_stayed(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path / "r",
        processes=[
            process("main", 1, 0),
            process("worker-1", 1, 1, 1.9),
            process("worker-2", 1, 2, 2.1),
        ],
        files=[opened(7, 1, b"/x")],
    )
    assert examples(summary, "files") == {b'["/x","r"]': "main"}


def test_where_nobody_can_tell_there_is_no_example(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path / "r",
        processes=[process("a", 1, 0, 1.2)],
        files=[opened(3, 1, b"/after-its-end"), opened(0, 2, b"/of-nobody"), opened(0, 0, b"/?")],
        syscalls=[MINE | {"nr": 1, "calls": 3}],
    )
    assert set(examples(summary, "files").values()) == {None}
    assert examples(summary, "syscalls") == {b"1": None}
    assert set(examples(summary, "input").values()) == {None}


def test_what_names_its_process_has_that_as_example(tmp_path: Path) -> None:
    use = MINE | {"operation": "capability", "capability": 21, "granted": True, "calls": 1}
    summary = summary_of(
        tmp_path / "r",
        processes=[process("a", 1, 0), process("b", 2, 0, parent_exec_id="a")],
        privileges=[use | {"exec_id": "b"}, use | {"exec_id": "b", "window": 1}],
        denied=[MINE | {"exec_id": "a", "nr": 101, "calls": 1}],
    )
    assert examples(summary, "execs") == {b'["/bin/a",false]': "a", b'["/bin/b",false]': "b"}
    assert examples(summary, "capabilities") == {b"CAP_SYS_ADMIN": "b"}
    assert list(examples(summary, "denied").values()) == ["a"]


def test_a_rule_has_the_first_example_by_name_of_all_recordings(tmp_path: Path) -> None:
    summaries = [
        summary_of(
            tmp_path / name,
            manifest={"recording_id": name},
            processes=[process(f"process-{name}", 1, 0)],
        )
        for name in ("2", "1")
    ]
    (baseline,) = learn(merge(summaries))
    (rule,) = baseline.rules.execs
    assert rule.evidence.example_exec_id == "process-1"


def test_a_summary_of_an_earlier_version_names_no_process(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "r", processes=[process("a", 1, 0)])
    new, old = tmp_path / "new.summary.parquet", tmp_path / "old.summary.parquet"
    write_summary(summary, new)
    table = pq.read_table(new)
    pq.write_table(table.drop_columns(["exec_id"]), old)
    assert set(examples(read_summary(old), "execs").values()) == {None}
    (baseline,) = learn(read_summary(old))
    assert baseline.rules.execs[0].evidence.example_exec_id is None
    assert merge([read_summary(old), summary]).equals(merge([summary]))
