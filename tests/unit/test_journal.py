"""The writing end: windows that stay, kills at any time, places that refuse."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ethogram.contracts.manifest import Program, read_manifest
from ethogram.contracts.recording import Recording
from ethogram.contracts.tables import TABLES
from ethogram.errors import CaptureError, UsageError
from profiler import compaction
from profiler.compaction import compact
from profiler.journal import Journal
from profiler.rotation import Rotation
from tests.recordings import columns_of, make_manifest, make_recording, shop_recording

pytestmark = pytest.mark.unit


def add_window(journal: Journal, number: int) -> None:
    """Write one window with one open file and 23 lost events."""
    for table, row in (
        ("files", {"path": b"/%d" % number}),
        ("losses", {"count": 23}),
        ("windows", {}),
    ):
        journal.append(table, columns_of(table, [row | {"window": number}]))
    journal.flush()


def numbers(recording: Recording, table: str) -> list[int]:
    return recording.table(table).column("window").to_pylist()


def names(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_recording_can_be_read_while_it_is_written(tmp_path):
    with Journal.create(tmp_path / "rec", make_manifest()) as journal:
        for number in range(3):
            add_window(journal, number)
            seen = Recording.open(tmp_path / "rec")
            assert numbers(seen, "files") == list(range(number + 1))
            assert (seen.manifest.windows, seen.manifest.losses) == (number + 1, 23 * (number + 1))
            assert seen.manifest.ended is None
            assert not seen.is_truncated


def test_what_is_not_flushed_is_not_seen(tmp_path):
    with Journal.create(tmp_path / "rec", make_manifest()) as journal:
        journal.append("files", columns_of("files", [{}]))
        assert Recording.open(tmp_path / "rec").table("files").num_rows == 0


def test_the_end_leaves_parquet_alone(tmp_path):
    shop_recording(tmp_path / "rec")
    kinds = {path.suffix for path in (tmp_path / "rec").rglob("*")}
    assert kinds == {".parquet", ".json"}
    recording = Recording.open(tmp_path / "rec")
    assert recording.manifest.clean_end
    assert recording.manifest.windows == 8
    recording.verify()


def test_only_the_owner_can_read_a_recording(tmp_path):
    previous = os.umask(0)
    try:
        make_recording(tmp_path / "open", is_closed=False, files=[{}])
        make_recording(tmp_path / "closed", files=[{}])
    finally:
        os.umask(previous)
    for path in (tmp_path / "open", tmp_path / "closed", *tmp_path.glob("*/**/*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_columns_that_are_refused_leave_the_window_as_it_was(tmp_path):
    with Journal.create(tmp_path / "rec", make_manifest()) as journal:
        with pytest.raises(ValueError, match="no column `moon`"):
            journal.append("files", {"moon": [1]})
        with pytest.raises(KeyError):
            journal.append("moons", {})
        add_window(journal, 0)
    assert numbers(Recording.open(tmp_path / "rec"), "files") == [0]


def test_the_manifest_changes_with_the_window(tmp_path):
    refused = Program(name="exec", hook="lsm", tier="full", state="refused", error="EPERM")
    with Journal.create(tmp_path / "rec", make_manifest()) as journal:
        journal.update(programs=(refused,), privileges_dropped=("CAP_SYS_ADMIN",))
        journal.flush()
        manifest = read_manifest(tmp_path / "rec")
        with pytest.raises(ValueError, match="no field `moon`"):
            journal.update(moon=1)
    assert manifest.programs == (refused,)
    assert manifest.privileges_dropped == ("CAP_SYS_ADMIN",)


def test_an_error_while_recording_is_no_clean_end(tmp_path):
    def record() -> None:
        with Journal.create(tmp_path / "rec", make_manifest()) as journal:
            add_window(journal, 0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record()
    recording = Recording.open(tmp_path / "rec")
    assert numbers(recording, "files") == [0]
    assert not recording.manifest.clean_end


def test_the_last_row_of_a_process_stands(tmp_path):
    begun = [{"exec_id": name, "tgid": number} for number, name in enumerate("abc")]
    ended = [{"exec_id": "b", "tgid": 1, "exit_code": 3}]
    for is_closed in (False, True):
        path = tmp_path / str(is_closed)
        make_recording(path, is_closed=is_closed, processes=begun + ended)
        rows = Recording.open(path).table("processes").select(["exec_id", "exit_code"]).to_pylist()
        assert [tuple(row.values()) for row in rows] == [("a", None), ("c", None), ("b", 3)]
    (listed,) = (f for f in read_manifest(path).files if f.table == "processes")
    assert listed.rows == 3


def test_a_name_that_came_late_replaces_the_first(tmp_path):
    rows = [{"workload": 1, "name": "?", "state": "pending"}, {"workload": 1, "name": "checkout"}]
    make_recording(tmp_path / "rec", workloads=rows)
    (row,) = Recording.open(tmp_path / "rec").table("workloads").to_pylist()
    assert (row["name"], row["state"]) == ("checkout", "resolved")


def test_a_part_that_has_grown_is_compacted_while_it_runs(tmp_path):
    with Journal.create(
        tmp_path / "rec", make_manifest(), rotation=Rotation(size_bytes=1)
    ) as journal:
        for number in range(3):
            add_window(journal, number)
        running = Recording.open(tmp_path / "rec")
        assert numbers(running, "files") == [0, 1, 2]
        assert sum(f.table == "files" for f in running.manifest.files) == 3
        assert not list((tmp_path / "rec/journal").iterdir())
    recording = Recording.open(tmp_path / "rec")
    recording.verify()
    assert numbers(recording, "windows") == [0, 1, 2]


def test_many_rows_at_once_become_groups_and_lose_none(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_GROUP_ROWS", 1000)
    path = make_recording(tmp_path / "rec", syscalls=[{"nr": nr % 400} for nr in range(2323)])
    file = pq.ParquetFile(path / "syscalls-00000.parquet")
    assert file.metadata.num_rows == 2323
    table = Recording.open(path).table("syscalls")
    assert table.column("nr").to_pylist() == [nr % 400 for nr in range(2323)]


WRITER = """
import os, sys
from tests.recordings import make_manifest
from tests.unit.test_journal import Journal, add_window, columns_of
journal = Journal.create(sys.argv[1], make_manifest())
for number in range(5):
    add_window(journal, number)
journal.append("files", columns_of("files", [{"window": 5}] * 100_000))
print("five windows", flush=True)
sys.stdin.read()
"""


def test_a_killed_recorder_loses_the_open_window_at_most(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "rec")],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as recorder:
        assert recorder.stdout.readline() == b"five windows\n"
        with pytest.raises(CaptureError, match="is being written by another process"):
            compact(tmp_path / "rec")
        recorder.send_signal(signal.SIGKILL)
    recording = Recording.open(tmp_path / "rec")
    assert numbers(recording, "windows") == [0, 1, 2, 3, 4]
    assert [number for number in numbers(recording, "files") if number < 5] == [0, 1, 2, 3, 4]
    assert recording.manifest.windows == 5
    assert recording.manifest.ended is None
    assert not recording.manifest.clean_end

    before = recording.table("files")
    manifest = compact(tmp_path / "rec")
    compacted = Recording.open(tmp_path / "rec")
    assert compacted.table("files").equals(before)
    assert (manifest.ended, manifest.clean_end) == (None, False)
    assert not (tmp_path / "rec/journal").exists()


class Kill(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.parametrize("step", ["replace", "write_manifest", "unlink"])
@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_kill_in_compaction_loses_and_doubles_nothing(tmp_path, monkeypatch, step, turn):
    """Whatever step of compaction is the last one, the rows are the same before and after."""
    make_recording(tmp_path / "rec", is_closed=False, files=[{}] * 23, dns=[{}] * 23)
    wanted = {name: Recording.open(tmp_path / "rec").table(name) for name in TABLES}
    owner = compaction if step == "write_manifest" else Path
    real = getattr(owner, step)
    calls = iter(range(100))

    def deadly(*arguments, **options):
        result = real(*arguments, **options)
        is_of_temporary = step == "unlink" and str(arguments[0]).endswith(".tmp")
        if not is_of_temporary and next(calls) == turn:
            raise Kill
        return result

    monkeypatch.setattr(owner, step, deadly)
    with pytest.raises(Kill):
        compact(tmp_path / "rec")
    monkeypatch.undo()
    for _ in range(2):
        recording = Recording.open(tmp_path / "rec")
        assert all(recording.table(name).equals(wanted[name]) for name in TABLES)
        compact(tmp_path / "rec")
    recording.verify()
    assert not any("journal" in name or "tmp" in name for name in names(tmp_path / "rec"))


def test_a_recording_is_not_overwritten_without_force(tmp_path):
    path = make_recording(tmp_path / "rec", files=[{}])
    before = names(path)
    with pytest.raises(UsageError, match="holds a recording") as raised:
        Journal.create(path, make_manifest())
    assert "--force" in raised.value.hint
    assert names(path) == before


@pytest.mark.parametrize("is_closed", [True, False])
def test_force_replaces_a_recording(tmp_path, is_closed):
    path = make_recording(tmp_path / "rec", is_closed=is_closed, files=[{}] * 23)
    Journal.create(path, make_manifest(), force=True).close()
    assert names(path) == {"manifest.json"}


def test_what_force_replaces_is_there_until_the_first_window_is_whole(tmp_path):
    path = make_recording(tmp_path / "rec", is_closed=False, files=[{"path": b"/old"}])
    before = names(path)
    wanted = Recording.open(path).table("files")
    journal = Journal.create(path, make_manifest(), force=True)
    assert {f"replaced/{name}" for name in before} < names(path)
    journal.discard()
    assert names(path) == before
    assert Recording.open(path).table("files").equals(wanted)
    with Journal.create(path, make_manifest(), force=True) as journal:
        add_window(journal, 7)
        assert not (path / "replaced").exists()
    assert numbers(Recording.open(path), "files") == [7]


def test_a_recorder_killed_before_its_first_window_keeps_what_it_was_to_replace(tmp_path):
    path = make_recording(tmp_path / "rec", files=[{"path": b"/old"}])
    wanted = Recording.open(path).table("files")
    Journal.create(path, make_manifest(), force=True).abandon()
    assert Recording.open(path / "replaced").table("files").equals(wanted)
    with pytest.raises(UsageError, match="holds a recording"):
        Journal.create(path, make_manifest())
    Journal.create(path, make_manifest(), force=True).discard()
    assert Recording.open(path).table("files").equals(wanted)
    assert not (path / "replaced").exists()


def test_force_replaces_an_empty_directory_too(tmp_path):
    Journal.create(tmp_path, make_manifest(), force=True).close()
    assert names(tmp_path) == {"manifest.json"}


def test_force_deletes_nothing_where_a_recording_is_still_written(tmp_path):
    with Journal.create(tmp_path / "rec", make_manifest()) as journal:
        add_window(journal, 0)
        with pytest.raises(CaptureError, match="is being written"):
            Journal.create(tmp_path / "rec", make_manifest(), force=True)
    assert numbers(Recording.open(tmp_path / "rec"), "files") == [0]


@pytest.mark.parametrize("foreign", ["notes.txt", "journal/notes.txt", "moon.parquet", "sub/x"])
@pytest.mark.parametrize("force", [True, False])
def test_no_file_of_another_is_ever_deleted(tmp_path, foreign, force):
    path = make_recording(tmp_path / "rec", is_closed=False, files=[{}])
    (path / foreign).parent.mkdir(exist_ok=True)
    (path / foreign).write_text("mine")
    before = names(path)
    with pytest.raises(UsageError):
        Journal.create(path, make_manifest(), force=force)
    assert names(path) == before


def test_a_directory_of_other_files_is_no_place_even_with_force(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and is no recording"):
        Journal.create(tmp_path, make_manifest(), force=True)
    assert names(tmp_path) == {"notes.txt"}


def test_a_link_in_a_recording_is_foreign(tmp_path):
    path = make_recording(tmp_path / "rec", files=[{}])
    (tmp_path / "mine").write_text("mine")
    (path / "files-00000.parquet").unlink()
    (path / "files-00000.parquet").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="no recording's"):
        Journal.create(path, make_manifest(), force=True)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is not a directory"):
        Journal.create(tmp_path / "file", make_manifest(), force=True)
    with pytest.raises(UsageError):
        Journal.create(tmp_path / "file" / "rec", make_manifest())


def test_a_missing_parent_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"`.*/no` does not exist"):
        Journal.create(tmp_path / "no" / "rec", make_manifest())


def test_a_place_that_cannot_be_written_is_refused():
    with pytest.raises(UsageError, match="cannot be written"):
        Journal.create("/sys/rec", make_manifest())


def test_a_closed_journal_takes_no_more(tmp_path):
    journal = Journal.create(tmp_path / "rec", make_manifest())
    first = journal.close()
    with pytest.raises(ValueError, match="closed"):
        add_window(journal, 0)
    assert journal.close() == first
