"""A summary is the same however a recording is cut, whoever works on it, and in any order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ethogram.contracts.fragments import Fragment, fragment_batches, fragments_of
from ethogram.contracts.recording import Recording
from ethogram.contracts.summary import write_summary
from ethogram.contracts.tables import TABLES
from ethogram.errors import EthogramError, RecordingError
from ethogram.indicators.registry import indicators
from ethogram.indicators.rows import completed
from learner import counting
from learner import summary as summaries
from learner.groups import GROUP, folded
from learner.judging import JUDGED
from learner.learn import learn, learn_all
from learner.parallel import InThisProcess, executor_of, map_reduced, mapped
from learner.rows import coded, typed
from learner.summary import merge, summarize, summarize_all
from learner.union import united
from profiler import compaction
from tests.recordings import shop_recording

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """The shop in files of a few rows a row group."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "_GROUP_ROWS", 5)
        return Recording.open(shop_recording(tmp_path_factory.mktemp("cut") / "recording"))


@pytest.fixture(scope="module")
def whole(cut: Recording) -> pa.Table:
    return summarize(cut)


def rows_of(recording: Recording, fragments: list[Fragment]) -> list[dict[str, object]]:
    batches = [batch for one in fragments for batch in fragment_batches(recording, one)]
    return sorted((row for batch in batches for row in batch.to_pylist()), key=repr)


@pytest.mark.parametrize("rows", [1, 4, 9, 23, 1000])
def test_fragments_are_the_whole_table(cut: Recording, rows: int) -> None:
    for name in TABLES:
        fragments = fragments_of(cut, name, rows=rows)
        assert rows_of(cut, fragments) == sorted(cut.table(name).to_pylist(), key=repr)
        assert sum(fragment.rows for fragment in fragments) >= cut.table(name).num_rows


def test_fragments_name_the_windows_that_they_share(cut: Recording) -> None:
    fragments = fragments_of(cut, "syscalls", rows=4)
    assert len(fragments) > 3
    windows = [
        {window for batch in fragment_batches(cut, one) for window in batch["window"].to_pylist()}
        for one in fragments
    ]
    for index, own in enumerate(windows):
        others = set().union(*windows[:index], *windows[index + 1 :])
        assert own & others <= set(fragments[index].shared)
        assert set(fragments[index].shared) <= set(range(min(own), max(own) + 1))


@pytest.mark.parametrize("rows", [1, 4, 9, 23])
def test_a_summary_does_not_depend_on_the_cut(
    cut: Recording, whole: pa.Table, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "FRAGMENT_ROWS", rows)
    assert summarize(cut).equals(whole)


def test_processes_give_the_same_in_any_order(
    cut: Recording, whole: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Recording.open(shop_recording(tmp_path / "other", recording_id="OTHER"))
    write_summary(summarize(other), tmp_path / "other.summary.parquet")
    both = merge([whole, summarize(other)])
    sources = [cut, tmp_path / "other.summary.parquet", other]
    monkeypatch.setattr(summaries, "FRAGMENT_ROWS", 9)
    assert typed(summarize_all(sources, InThisProcess())).equals(both)
    with executor_of(jobs=2) as executor:
        assert typed(summarize_all(sources, executor)).equals(both)
        backwards = summarize_all(sources[::-1], executor)
        assert typed(backwards).equals(both)
        assert learn_all(backwards, executor) == learn(both)


def test_a_file_that_changed_is_refused_whichever_fragment_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_GROUP_ROWS", 5)
    path = shop_recording(tmp_path / "recording")
    file = path / "syscalls-00000.parquet"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    monkeypatch.setattr(summaries, "FRAGMENT_ROWS", 4)
    with pytest.raises(RecordingError, match="its sha256 differs"):
        summarize(Recording.open(path))


def test_indicators_ask_for_no_column_that_they_are_not_given(cut: Recording) -> None:
    small = [cut.table(name) for name in ("executables", "instances")]
    for indicator in indicators().values():
        name = indicator.metadata.table
        if name in JUDGED:
            rows = completed(cut.table(name).select(JUDGED[name]), *small)
            assert len(indicator.matches(rows)) == len(indicator.taints(rows)) == rows.num_rows


def end(_: int) -> None:
    os._exit(1)


def stay(_: int) -> None:
    signal.pause()


def tell_and_stay(_: int) -> None:
    print("at work", flush=True)
    signal.pause()


def test_a_worker_that_dies_is_a_foreseen_failure() -> None:
    with (
        pytest.raises(EthogramError, match="a worker ended before its work was done"),
        executor_of(jobs=2) as executor,
    ):
        list(mapped(executor, end, [(number,) for number in range(3)]))


def test_a_worker_that_hangs_is_a_foreseen_failure_and_is_ended() -> None:
    with (
        pytest.raises(EthogramError, match="no worker finished anything for 1 s"),
        executor_of(jobs=2) as executor,
    ):
        list(mapped(executor, stay, [(1,)], patience_s=1))


LARGE_PIECES = """
import signal
from learner.parallel import executor_of, mapped
from tests.unit.test_learner_fragments import end, tell_and_stay

signal.signal(signal.SIGINT, signal.default_int_handler)
with executor_of(jobs=2) as executor:
    list(mapped(executor, {function}, [(b"x" * (1 << 20),)] * 20))
"""


def run_apart(function: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LARGE_PIECES.format(function=function)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_process_ends_although_a_piece_is_still_being_handed_out() -> None:
    # A piece is larger than a pipe holds, and nobody reads it any more.
    _, said = run_apart("end").communicate(timeout=120)
    assert "a worker ended before its work was done" in said


def test_ctrl_c_ends_the_work_and_workers_say_nothing_of_it() -> None:
    process = run_apart("tell_and_stay")
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert said.count("Traceback") == 1
    assert said.endswith("KeyboardInterrupt\n")


@pytest.mark.parametrize("cells", [0, 1 << 26])
def test_windows_are_counted_once_a_number(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST_CELLS", cells)
    random = np.random.default_rng(3)
    numbers, window = random.integers(0, 23, 999), random.integers(5, 40, 999)
    calls = random.integers(0, 2**63, 999).astype(np.uint64)
    found = counting.counted(
        numbers, 24, window=window, calls=calls, first=window * 7, last=window * 7 + 6
    )
    for number in range(24):
        own = window[numbers == number]
        assert found.windows[number] == len(set(own.tolist()))
        assert int(found.calls[number]) == sum(calls[numbers == number].tolist()) % 2**64
        if len(own):
            assert (found.first[number], found.last[number]) == (7 * own.min(), 7 * own.max() + 6)


def test_a_reduction_is_that_of_all() -> None:
    for count in (1, 2, 8, 9, 23, 100):
        given = [(number,) for number in range(count)]
        assert map_reduced(InThisProcess(), abs, given, reduce=sum) == sum(range(count))


def test_who_waits_is_told_of_each_piece_before_the_next_begins() -> None:
    told: list[str] = []

    def work(number: int) -> int:
        told.append(f"begin {number}")
        return number

    items = [(1,), (2,)]
    map_reduced(InThisProcess(), work, items, reduce=sum, done=lambda: told.append("done"))
    assert told == ["begin 1", "done", "begin 2", "done"]


def test_what_was_united_can_be_united_again_where_nothing_is_known(whole: pa.Table) -> None:
    some = whole.slice(0, 3)
    nulls = {name: pa.nulls(3, some.schema.field(name).type) for name in ("exe_path", "exec_id")}
    for name, column in nulls.items():
        some = some.set_column(some.schema.get_field_index(name), some.schema.field(name), column)
    parts = [united([coded(part)]) for part in (some, whole, some)]
    assert typed(united([united(parts), *parts])).equals(merge([whole, some]))


def test_groups_take_no_more_room_on_their_way_than_they_need() -> None:
    rows = 100_000
    groups = pa.table(
        {
            "instance": np.arange(rows, dtype=np.uint32),
            "key": pa.array([b"%d" % number for number in range(rows)]),
            **dict.fromkeys(("phase", "dimension"), np.zeros(rows, np.int8)),
            "workload": np.zeros(rows, np.uint32),
            **{name: pa.nulls(rows, pa.int8()) for name in ("arch", "direction")},
            **{name: pa.nulls(rows, pa.int32()) for name in ("exe_path", "process")},
            **dict.fromkeys(("edge", "first", "last"), np.full(rows, -1)),
            **dict.fromkeys(("windows", "calls"), np.ones(rows, np.uint64)),
            "in_image": pa.nulls(rows, pa.bool_()),
        }
    )
    found = folded([groups.select(GROUP.names).cast(GROUP)])
    assert all(column.num_chunks == 1 for column in found.columns)
    assert len(bytes(ForkingPickler.dumps(found))) < 2 * found.nbytes
