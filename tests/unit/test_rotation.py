"""Rotation and retention: whole windows, all tables alike, and what was dropped is said."""

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from ethogram.cli.options import Size
from ethogram.cli.run import run
from ethogram.cli.storage_options import Retain
from ethogram.contracts.manifest import read_manifest_bytes
from ethogram.contracts.recording import Recording
from ethogram.errors import CaptureError, RecordingError
from learner.summary import summarize
from profiler.compaction import compact
from profiler.journal import Journal
from profiler.rotation import Retention, Rotation, Segment, overdue, rarer
from tests.recordings import START_NS, WINDOW_NS, columns_of, make_manifest

pytestmark = pytest.mark.unit


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def add_window(journal: Journal, number: int) -> None:
    begins = START_NS + number * WINDOW_NS
    rows = {
        "files": {"window": number, "path": b"/%d" % number, "workload": 1, "instance": 1},
        "coverage": {"window": number, "workload": 1, "instance": 1, "observed_ns": WINDOW_NS},
        "losses": {"window": number, "count": 23},
        "windows": {"window": number, "start": begins, "end": begins + WINDOW_NS},
    }
    if number == 0:
        rows["workloads"] = {"workload": 1, "name": "checkout", "kind": "Pod"}
        rows["instances"] = {"workload": 1, "instance": 1, "runtime_id": "a"}
    for table, row in rows.items():
        journal.append(table, columns_of(table, [row]))
    journal.flush()


def add_windows(journal: Journal, number: int) -> None:
    for window in range(number):
        add_window(journal, window)


def windows_of(recording: Recording, table: str) -> list[int]:
    return recording.table(table).column("window").to_pylist()


def files_of(path: Path, table: str) -> list[str]:
    return sorted(file.name for file in path.glob(f"{table}-*.parquet"))


def test_files_begin_anew_after_a_time_with_the_same_windows_in_every_table(tmp_path):
    clock = Clock()
    rotation = Rotation(every_s=20)
    with Journal.create(tmp_path / "r", make_manifest(), rotation=rotation, now=clock) as journal:
        for number in range(5):
            clock.seconds += 10
            add_window(journal, number)
    recording = Recording.open(tmp_path / "r")
    recording.verify()
    spans = {
        (file.table, file.path[-13:-8], file.first_window, file.last_window)
        for file in recording.manifest.files
    }
    for table in ("files", "losses", "windows", "coverage"):
        assert {span[1:] for span in spans if span[0] == table} == {
            ("00000", 0, 1), ("00001", 2, 3), ("00002", 4, 4),
        }  # fmt: skip
        assert windows_of(recording, table) == [0, 1, 2, 3, 4]


def test_the_oldest_windows_go_by_age_and_who_they_were_about_stays(tmp_path):
    rotation = Rotation(size_bytes=1, retain=Retention("age", 2 * WINDOW_NS, "10s"))
    journal = Journal.create(tmp_path / "r", make_manifest(), rotation=rotation)
    for number in range(6):
        add_window(journal, number)
        kept = list(range(max(0, number - 2), number + 1))
        running = Recording.open(tmp_path / "r")
        for table in ("files", "losses", "windows", "coverage"):
            assert windows_of(running, table) == kept
        assert (running.manifest.windows, running.manifest.losses) == (len(kept), 23 * len(kept))
    manifest = journal.close()
    recording = Recording.open(tmp_path / "r")
    recording.verify()
    assert windows_of(recording, "files") == [3, 4, 5]
    assert recording.table("workloads").column("name").to_pylist() == ["checkout"]
    assert len(files_of(tmp_path / "r", "files")) == 3
    assert manifest.dropped is not None
    assert (manifest.dropped.windows, manifest.dropped.losses) == (3, 69)
    started = datetime.fromtimestamp(START_NS / 1e9, UTC)
    until = datetime.fromtimestamp((START_NS + 3 * WINDOW_NS) / 1e9, UTC)
    assert (manifest.dropped.since, manifest.dropped.until) == (started, until)
    assert (manifest.clean_end, manifest.retain) == (True, "10s")


def test_the_oldest_windows_go_by_size(tmp_path):
    add = Journal.create(tmp_path / "all", make_manifest(), rotation=Rotation(size_bytes=1))
    for number in range(6):
        add_window(add, number)
    add.close()
    sizes = {file.path: file.size_bytes for file in Recording.open(tmp_path / "all").manifest.files}
    limit = sum(sizes.values()) - 1
    rotation = Rotation(size_bytes=1, retain=Retention("size", limit, "x"))
    journal = Journal.create(tmp_path / "r", make_manifest(), rotation=rotation)
    for number in range(6):
        add_window(journal, number)
    manifest = journal.close()
    assert windows_of(Recording.open(tmp_path / "r"), "files") == [1, 2, 3, 4, 5]
    on_disk = {path.name: path.stat().st_size for path in (tmp_path / "r").glob("*.parquet")}
    assert on_disk == {file.path: file.size_bytes for file in manifest.files}
    assert sum(on_disk.values()) <= limit


def test_the_newest_windows_stay_whatever_the_rest_takes(tmp_path):
    rotation = Rotation(size_bytes=1, retain=Retention("size", 2, "2B"))
    journal = Journal.create(tmp_path / "r", make_manifest(), rotation=rotation)
    for number in range(3):
        add_window(journal, number)
    journal.close()
    assert windows_of(Recording.open(tmp_path / "r"), "files") == [2]


def test_segments_last_longer_once_the_manifest_lists_many_files(tmp_path, monkeypatch):
    assert [rarer(files) for files in (0, 9_999, 10_000, 29_999, 60_000)] == [1, 1, 2, 4, 64]
    monkeypatch.setattr("profiler.rotation._FILES_A_STEP", 6)  # a segment has four files, one six
    clock = Clock()
    rotation = Rotation(every_s=10)
    with Journal.create(tmp_path / "r", make_manifest(), rotation=rotation, now=clock) as journal:
        for number in range(7):
            clock.seconds += 10
            add_window(journal, number)
    files = [
        file for file in Recording.open(tmp_path / "r").manifest.files if file.table == "files"
    ]
    spans = [(file.first_window, file.last_window) for file in files]
    assert spans == [(0, 0), (1, 2), (3, 4), (5, 6)]


def test_a_manifest_that_nobody_could_read_ends_the_recording_before(tmp_path, monkeypatch):
    journal = Journal.create(tmp_path / "r", make_manifest(), rotation=Rotation(size_bytes=1))
    monkeypatch.setattr("ethogram.contracts.manifest.MANIFEST_MAX_BYTES", 4000)
    with pytest.raises(CaptureError, match=r"File too large; .* kept") as raised:
        add_windows(journal, 50)
    assert raised.value.hint == "rotate less often, or pass `--retain`"
    journal.close()
    kept = windows_of(Recording.open(tmp_path / "r"), "windows")
    assert kept == list(range(len(kept)))
    assert kept


def test_what_is_learnt_and_shown_is_about_what_remains(tmp_path, capsys):
    rotation = Rotation(size_bytes=1, retain=Retention("age", 2 * WINDOW_NS, "10s"))
    with Journal.create(tmp_path / "r", make_manifest(), rotation=rotation) as journal:
        for number in range(6):
            add_window(journal, number)
    rows = summarize(Recording.open(tmp_path / "r")).to_pylist()
    observed = [row for row in rows if row["key"] == b'["windows"]']
    assert [(row["windows"], row["calls"]) for row in observed] == [(3, 3 * WINDOW_NS)]
    (given,) = (row for row in rows if row["dimension"] == "input")
    assert b'"dropped_windows":3' in given["key"]
    assert run(["show", str(tmp_path / "r")]) == 0
    assert "retained 10s: 3 windows from " in capsys.readouterr().out


def segment(number: int, size: int) -> Segment:
    return Segment(number, number, number, number * 10, number * 10 + 10, 1, 0, size)


@pytest.mark.parametrize(
    ("kind", "limit", "kept", "dropped"),
    [
        ("age", 100, 0, 0),
        ("age", 30, 0, 0),
        ("age", 20, 0, 1),
        ("age", 10, 0, 2),
        ("age", 9, 0, 3),
        ("size", 60, 0, 0),
        ("size", 59, 0, 1),
        ("size", 60, 1, 1),
        ("size", 30, 0, 2),
        ("size", 29, 0, 3),
        ("size", 1, 1000, 3),
    ],
)
def test_no_more_is_dropped_than_must_be(kind, limit, kept, dropped):
    segments = [segment(0, 10), segment(1, 20), segment(2, 30)]
    found = overdue(segments, Retention(kind, limit, "x"), now_ns=40, kept_bytes=kept)
    assert found == dropped


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("512KB", 512_000),
        ("256MB", 256_000_000),
        ("1.5GiB", 3 << 29),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize(
    "text", ["", "1", "MB", "-1MB", "1mb", "1 MB", "1e3MB", "1MBs", "٣MB", "1M"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(click.BadParameter, match="no size such as"):
        Size().convert(text, None, None)


@pytest.mark.parametrize("text", ["", "7", "d", "7w", "-7d", "10gb", "7d10GB", "1ms", "inf"])
def test_what_is_neither_age_nor_size_is_refused(text):
    with pytest.raises(click.BadParameter):
        Retain().convert(text, None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rotate-size", "1KB"], "`--rotate-size`: `1KB` is less than 64KB"),
        (["--rotate-size", "much"], "`--rotate-size`: `much` is no size such as"),
        (["--rotate-every", "0s"], "`--rotate-every`: `0s` is shorter than 100 ms"),
        (["--retain", "soon"], "`--retain`: `soon` is neither an age such as `7d` nor a size"),
        (["--retain", "10m"], "`--retain 10m` is shorter than `--rotate-every`"),
        (["--retain", "300MB"], "`--retain 300MB` is less than two files of `--rotate-size`"),
    ],
)
def test_a_rotation_that_cannot_be_is_refused_by_name(tmp_path, words, said, capsys):
    assert run(["record", "-o", str(tmp_path / "r"), *words, "--", "true"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("option", ["--duration", "--window", "--startup", "--rotate-every"])
def test_no_time_is_longer_than_the_kernel_counts(option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["record", "-o", "r", option, "999999999d", "--all"]) == 2
    assert f"`{option}`: `999999999d` is longer than 36500d" in capsys.readouterr().err


def test_a_recording_that_is_rotated_while_it_is_opened_is_read_whole(tmp_path, monkeypatch):
    path = tmp_path / "r"
    journal = Journal.create(path, make_manifest(), rotation=Rotation())
    add_windows(journal, 3)
    reads = []

    def read(directory: Path) -> bytes:
        data = read_manifest_bytes(directory)
        reads.append(data)
        if len(reads) == 1:
            journal.close()
        return data

    monkeypatch.setattr("ethogram.contracts.recording.read_manifest_bytes", read)
    recording = Recording.open(path)
    assert windows_of(recording, "files") == windows_of(recording, "windows") == [0, 1, 2]
    assert len(reads) == 3


def test_what_is_replaced_after_a_recording_was_opened_is_said(tmp_path):
    path = tmp_path / "r"
    journal = Journal.create(path, make_manifest(), rotation=Rotation())
    add_window(journal, 0)
    recording = Recording.open(path)
    journal.close()
    with pytest.raises(RecordingError, match="is gone: it was replaced") as raised:
        recording.table("files")
    assert "run it again" in str(raised.value.hint)
    recording = Recording.open(path)
    (path / "files-00000.parquet").unlink()
    with pytest.raises(RecordingError, match="is missing: the manifest lists it"):
        recording.table("files")


def test_a_window_that_was_whole_at_a_kill_is_counted_when_it_is_compacted(tmp_path):
    path = tmp_path / "r"
    journal = Journal.create(path, make_manifest(), rotation=Rotation())
    add_windows(journal, 2)
    before = (path / "manifest.json").read_bytes()
    add_window(journal, 2)
    journal.abandon()
    (path / "manifest.json").write_bytes(before)  # the kill came before it was written
    manifest = compact(path)
    assert (manifest.windows, manifest.losses) == (3, 3 * 23)
    assert Recording.open(path).manifest == manifest
    assert windows_of(Recording.open(path), "windows") == [0, 1, 2]
