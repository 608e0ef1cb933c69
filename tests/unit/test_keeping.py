"""A recording that a thread writes beside a watch: all of it, or what it lacks is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ethogram.contracts.columns import Values
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from learner.summary import summarize
from profiler.journal import Journal
from profiler.keeping import Keeper
from profiler.sink import Sink
from tests.recordings import (
    START_NS,
    WINDOW_NS,
    columns_of,
    make_manifest,
    shop_recording,
    write_windows,
)
from tests.shop import SHOP_TABLES

pytestmark = pytest.mark.unit


class Gate:
    """A disk that takes nothing until it is opened."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.is_open = threading.Event()
        self.was_reached = threading.Event()

    def append(self, table: str, columns: Mapping[str, Values]) -> None:
        self.was_reached.set()
        assert self.is_open.wait(60)
        self._sink.append(table, columns)

    def flush(self, *, between: Callable[[], None] | None = None) -> None:
        self._sink.flush(between=between)


def add_window(sink: Sink, number: int, files: int = 1) -> None:
    begins = START_NS + number * WINDOW_NS
    tables = {
        "files": [{"window": number, "path": b"/%d" % row} for row in range(files)],
        "coverage": [{"window": number, "workload": 1, "instance": 1}],
        "windows": [{"window": number, "start": begins, "end": begins + WINDOW_NS}],
        "workloads": [{"workload": number, "name": f"w{number}"}],
    }
    for table, rows in tables.items():
        if rows:
            sink.append(table, columns_of(table, rows))
    sink.flush()


def windows_of(path: Path, table: str) -> list[int]:
    return sorted(Recording.open(path).table(table).column("window").to_pylist())


def losses_of(path: Path) -> list[tuple[int, str, str, int]]:
    rows = Recording.open(path).table("losses").to_pylist()
    return [(row["window"], row["kind"], row["place"], row["count"]) for row in rows]


def states_of(path: Path) -> dict[int, str]:
    rows = Recording.open(path).table("coverage").to_pylist()
    return {row["window"]: row["state"] for row in rows}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.create(tmp_path / "rec", make_manifest())


def test_what_is_kept_is_what_a_recorder_would_have_written(
    journal: Journal, tmp_path: Path
) -> None:
    keeper = Keeper(journal, journal, place="rec", is_full=lambda: False)
    windows = [
        {"window": number, "start": START_NS + number * WINDOW_NS,
         "end": START_NS + (number + 1) * WINDOW_NS}
        for number in range(8)
    ]  # fmt: skip
    write_windows(keeper, SHOP_TABLES | {"windows": windows})  # type: ignore[arg-type]  # a sink does
    keeper.finish(lambda: journal.close(clean_end=True))
    kept, recorded = (
        Recording.open(tmp_path / "rec"),
        Recording.open(shop_recording(tmp_path / "r")),
    )
    for table in TABLES:
        assert kept.table(table).equals(recorded.table(table)), table
    assert keeper.standing().state == "ended"
    assert (keeper.standing().windows, keeper.lost) == (8, 0)


def test_a_slow_disk_stops_nobody_and_what_it_missed_is_counted(
    journal: Journal, tmp_path: Path
) -> None:
    gate = Gate(journal)
    keeper = Keeper(gate, journal, place="rec", is_full=lambda: False, most_rows=10)
    add_window(keeper, 0)
    assert gate.was_reached.wait(60)
    add_window(keeper, 1, files=20)  # waits, and is more than may
    add_window(keeper, 2, files=7)
    assert keeper.standing().state == "full"
    gate.is_open.set()
    keeper.finish(journal.close)
    assert keeper.lost == 7
    assert losses_of(tmp_path / "rec") == [(2, "disk", "queue", 7)]
    assert windows_of(tmp_path / "rec", "windows") == [0, 1, 2]
    assert set(windows_of(tmp_path / "rec", "files")) == {0, 1}
    assert states_of(tmp_path / "rec")[2] == "incomplete"
    assert journal.manifest.losses == 7


def test_while_there_is_no_room_nothing_is_written_and_the_gap_is_told(
    journal: Journal, tmp_path: Path
) -> None:
    answers = iter([False, True, True, False])
    keeper = Keeper(journal, journal, place="rec", is_full=lambda: next(answers))
    for number in range(4):
        add_window(keeper, number, files=3)
    keeper.finish(journal.close)
    assert windows_of(tmp_path / "rec", "windows") == [0, 3]
    gap = 2 * (3 + 2)  # files, coverage, windows
    assert losses_of(tmp_path / "rec") == [(3, "disk", "journal", gap)]
    assert keeper.lost == gap
    assert states_of(tmp_path / "rec") == {0: "complete", 3: "incomplete"}
    names = Recording.open(tmp_path / "rec").table("workloads").column("name").to_pylist()
    assert names == ["w0", "w1", "w2", "w3"]


def test_a_gap_that_does_not_end_is_told_at_the_end(journal: Journal, tmp_path: Path) -> None:
    answers = iter([False, True, True])
    keeper = Keeper(journal, journal, place="rec", is_full=lambda: next(answers))
    for number in range(3):
        add_window(keeper, number)
    keeper.finish(journal.close)
    assert losses_of(tmp_path / "rec") == [(2, "disk", "journal", 6)]
    assert windows_of(tmp_path / "rec", "windows") == [0, 2]


def test_a_disk_that_fails_ends_the_recording_and_nothing_else(
    journal: Journal, tmp_path: Path
) -> None:
    keeper = Keeper(journal, journal, place="rec", is_full=lambda: False, every_s=0)
    (tmp_path / "rec" / "journal").rmdir()
    (tmp_path / "rec" / "manifest.json").unlink()
    (tmp_path / "rec").rmdir()
    add_window(keeper, 0)
    keeper.finish(journal.close)
    add_window(keeper, 1)
    standing = keeper.standing()
    assert standing.state == "failed"
    assert standing.trouble is not None
    assert "was moved or removed" in standing.trouble
    assert standing.lost == 8
    assert standing.waiting == 0


def test_rows_of_a_window_in_parts_are_the_same_as_in_one(tmp_path: Path) -> None:
    """What is judged before a window ends is written in parts."""
    one = {"workload": 1, "instance": 1, "exe": 1, "path": b"/etc/hosts", "access": 1}
    call = {"workload": 1, "instance": 1, "nr": 0, "name": "read"}
    common = {
        "workloads": [{"workload": 1, "kind": "Deployment", "name": "x"}],
        "instances": [{"instance": 1, "workload": 1, "runtime_id": "a"}],
        "executables": [{"exe": 1, "path": b"/bin/x"}],
        "coverage": [{"window": 0, "workload": 1, "instance": 1, "observed_ns": WINDOW_NS}],
        "windows": [{"window": 0, "start": START_NS, "end": START_NS + WINDOW_NS}],
    }
    whole = {"files": [one | {"calls": 5}], "syscalls": [call | {"calls": 7}]}
    parts = {
        "files": [one | {"calls": 2}, one | {"calls": 3}],
        "syscalls": [call | {"calls": 3}, call | {"calls": 4}],
    }
    summaries = []
    for name, tables in (("whole", whole), ("parts", parts)):
        journal = Journal.create(tmp_path / name, make_manifest())
        write_windows(journal, common | tables)
        journal.close()
        summary = summarize(Recording.open(tmp_path / name))
        rows = [row for row in summary.to_pylist() if row["dimension"] != "input"]
        summaries.append(rows)
    assert summaries[0] == summaries[1]


def test_a_disk_that_stays_full_ends_the_recording_before_it_takes_the_memory(
    journal: Journal,
) -> None:
    failed = threading.Event()
    keeper = Keeper(journal, journal, place="rec", is_full=lambda: True, most_held=3)
    for number in range(5):
        add_window(keeper, number)
    keeper.finish(failed.set)
    standing = keeper.standing()
    assert (standing.state, standing.trouble) == ("failed", "the disk had no room for too long")
    # Of four windows each row, and all of the one that the disk was given up in.
    assert standing.lost == 5 * 4
