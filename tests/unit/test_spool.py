"""A recording on its way to a URL: what arrives, what waits, and what no longer fits is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ethogram.cli.run import run
from ethogram.contracts.recording import Recording
from ethogram.contracts.remote import RecordingUrl, Remote
from ethogram.errors import CaptureError, RecordingError, UsageError
from profiler.destination import look
from profiler.journal import Journal
from profiler.rotation import Retention, Rotation
from profiler.send import send
from profiler.spool import BoundedSpool, Outlet
from profiler.upload import Uploader
from tests.recordings import START_NS, WINDOW_NS, columns_of, make_manifest, make_recording

pytestmark = pytest.mark.unit

URL = RecordingUrl("memory://shelf/rec")


class Moody(MemoryFileSystem):
    """A store that a test can have refuse: what it would write and has not yet is `refused`."""

    protocol = "moody"
    is_refusing = False
    refused = threading.Event()

    def _open(self, path: str, mode: str = "rb", **options: object) -> object:
        if mode == "wb" and Moody.is_refusing:
            Moody.refused.set()
            raise OSError(507, "Insufficient Storage")
        return super()._open(path, mode, **options)


fsspec.register_implementation("moody", Moody, clobber=True)
MOODY = RecordingUrl("moody://shelf/rec")


@pytest.fixture(autouse=True)
def _store() -> Iterator[None]:
    Moody.is_refusing = False
    Moody.refused.clear()
    MemoryFileSystem.store.clear()
    yield
    MemoryFileSystem.store.clear()


def begin(spool: Path, url: RecordingUrl = MOODY, *, patience_s: float = 30, **options) -> Journal:
    outlet = Outlet(Uploader(Remote(url), spool), patience_s)
    rotation = Rotation(size_bytes=1, **options)
    journal = Journal.create(spool, make_manifest(), rotation=rotation, outlet=outlet)
    journal.begin_upload()
    return journal


def add_window(sink: Journal | BoundedSpool, number: int, rows: int = 1) -> None:
    begins = START_NS + number * WINDOW_NS
    tables = {
        "files": [{"window": number, "path": b"/%d" % row} for row in range(rows)],
        "coverage": [{"window": number, "workload": 1, "instance": 1}],
        "windows": [{"window": number, "start": begins, "end": begins + WINDOW_NS}],
    }
    if number == 0:
        tables["workloads"] = [{"workload": 1, "name": "checkout"}]
    for table, given in tables.items():
        sink.append(table, columns_of(table, given))
    sink.flush()


def windows_of(place: Path | RecordingUrl, table: str = "files") -> list[int]:
    return sorted(Recording.open(place).table(table).column("window").to_pylist())


def test_everything_arrives_and_nothing_stays_here(tmp_path):
    journal = begin(tmp_path / "spool", URL)
    for number in range(5):
        add_window(journal, number)
    journal.close()
    assert not (tmp_path / "spool").exists()
    Recording.open(URL).verify()
    assert windows_of(URL) == [0, 1, 2, 3, 4]
    assert Recording.open(URL).manifest.clean_end


def test_what_a_store_refuses_waits_and_can_be_sent(tmp_path):
    spool = tmp_path / "spool"
    journal = begin(spool, patience_s=0.1)
    Moody.is_refusing = True
    for number in range(3):
        add_window(journal, number)
    with pytest.raises(
        CaptureError, match=r"did not take all: .* in `.*spool`; .*Insufficient"
    ) as e:
        journal.close()
    assert e.value.hint == f"`ethogram send {spool}` uploads the rest"
    assert windows_of(spool) == [0, 1, 2]
    assert Recording.open(spool).manifest.clean_end
    with pytest.raises(RecordingError, match=r"cannot be used: .*Insufficient Storage"):
        send(spool, None, patience_s=0.1)
    Moody.is_refusing = False
    result = send(spool, None)
    assert (result.is_kept, spool.exists()) == (False, False)
    Recording.open(MOODY).verify()
    assert windows_of(MOODY) == [0, 1, 2]


def test_a_kill_at_any_window_leaves_a_recording_there_and_the_rest_here(tmp_path):
    spool = tmp_path / "spool"
    journal = begin(spool)
    add_window(journal, 0)
    Moody.is_refusing = True
    add_window(journal, 1)
    add_window(journal, 2)
    journal.abandon()
    assert Recording.open(MOODY).manifest.ended is None
    assert windows_of(MOODY) in ([], [0])
    Moody.is_refusing = False
    send(spool, None)
    Recording.open(MOODY).verify()
    assert windows_of(MOODY) == [0, 1, 2]


def test_a_full_spool_counts_what_it_does_not_keep_and_goes_on_later(tmp_path):
    Moody.is_refusing = True
    spool = tmp_path / "spool"
    journal = begin(spool)
    sink = BoundedSpool(journal, limit_bytes=60_000)
    number = 0
    while not sink.lost:
        add_window(sink, number, rows=23)
        number += 1
        assert number < 100
    Moody.is_refusing = False
    waited = threading.Event()
    lost = -1
    while sink.lost != lost:  # rows are lost until what waits has arrived
        lost = sink.lost
        waited.wait(0.3)
        add_window(sink, number, rows=23)
        number += 1
        assert number < 400
    journal.close()
    recording = Recording.open(MOODY)
    recording.verify()
    assert windows_of(MOODY, "windows") == list(range(number))
    losses = recording.table("losses").to_pylist()
    assert {(row["kind"], row["place"], row["count"]) for row in losses} == {("disk", "spool", 23)}
    assert sum(row["count"] for row in losses) == sink.lost == recording.manifest.losses
    lossy = {row["window"] for row in losses}
    assert set(windows_of(MOODY)) == set(range(number)) - lossy
    states = {row["window"]: row["state"] for row in recording.table("coverage").to_pylist()}
    assert {window for window, state in states.items() if state == "incomplete"} == lossy
    assert recording.table("workloads").num_rows == 1


def test_a_store_that_is_slow_is_waited_for_while_anything_moves(tmp_path, monkeypatch):
    class Slow(Moody):
        protocol = "slow"

        def _open(self, path: str, mode: str = "rb", **options: object) -> object:
            file = super()._open(path, mode, **options)
            if mode == "wb" and "files-" in path:
                write = file.write
                file.write = lambda data: threading.Event().wait(0.1) or write(data)
            return file

    fsspec.register_implementation("slow", Slow, clobber=True)
    monkeypatch.setattr("profiler.upload._CHUNK_BYTES", 200)
    journal = begin(tmp_path / "spool", RecordingUrl("slow://shelf/rec"), patience_s=1.5)
    add_window(journal, 0, rows=1)
    size = sum(file.size_bytes or 0 for file in journal.manifest.files if file.table == "files")
    assert size / 200 * 0.1 > 1.5
    journal.close()
    assert windows_of(RecordingUrl("slow://shelf/rec")) == [0]


def test_what_waits_for_a_store_that_is_away_is_one_delivery_after_all(tmp_path, monkeypatch):
    monkeypatch.setattr("profiler.upload._MOST_WAITING", 2)
    Moody.is_refusing = True
    retain = Retention("age", 3 * WINDOW_NS, "15s")
    journal = begin(tmp_path / "spool", retain=retain)
    for number in range(9):
        add_window(journal, number)
    Moody.is_refusing = False
    journal.close()
    Recording.open(MOODY).verify()
    assert windows_of(MOODY) == [5, 6, 7, 8]
    listed = {file.path for file in Recording.open(MOODY).manifest.files}
    assert set(Remote(MOODY).sizes()) == listed | {"manifest.json"}


def test_what_is_not_retained_is_deleted_there(tmp_path):
    retain = Retention("age", 2 * WINDOW_NS, "10s")
    journal = begin(tmp_path / "spool", URL, retain=retain)
    for number in range(6):
        add_window(journal, number)
    manifest = journal.close()
    assert windows_of(URL) == [3, 4, 5]
    listed = {file.path for file in Recording.open(URL).manifest.files}
    assert set(Remote(URL).sizes()) == listed | {"manifest.json"}
    assert manifest.dropped is not None


def test_a_recording_of_this_disk_can_be_sent_and_stays(tmp_path):
    path = make_recording(tmp_path / "rec", files=[{}] * 23)
    assert run(["send", str(path), str(URL)]) == 0
    assert path.exists()
    assert Recording.open(URL).manifest == Recording.open(path).manifest
    Recording.open(URL).verify()
    assert run(["send", str(path), str(URL)]) == 0


def test_a_recording_that_is_not_whole_is_not_sent(tmp_path):
    path = make_recording(tmp_path / "rec", files=[{}], dns=[{}])
    file, other = path / "files-00000.parquet", path / "dns-00000.parquet"
    data = file.read_bytes()
    file.unlink()
    with pytest.raises(RecordingError, match="is missing: the manifest lists it"):
        send(path, URL)
    (tmp_path / "secret").write_bytes(data)
    file.symlink_to(tmp_path / "secret")
    with pytest.raises(RecordingError, match="links are not followed"):
        send(path, URL)
    file.unlink()
    file.write_bytes(data)
    other.write_bytes(bytes(len(other.read_bytes())))
    with pytest.raises(RecordingError, match="its sha256 differs"):
        send(path, URL)
    assert Remote(URL).sizes() == {}


def test_what_is_there_is_replaced_with_force_alone(tmp_path):
    first = make_recording(tmp_path / "a", files=[{}], dns=[{}])
    send(first, URL)
    second = make_recording(tmp_path / "b", manifest={"recording_id": "b"}, files=[{}] * 2)
    with pytest.raises(UsageError, match="holds a recording"):
        send(second, URL)
    assert Recording.open(URL).table("files").num_rows == 1
    send(second, URL, force=True)
    assert Recording.open(URL).table("files").num_rows == 2
    assert "dns-00000.parquet" not in Remote(URL).sizes()


def test_a_place_of_other_files_is_never_written_to(tmp_path):
    fsspec.filesystem("memory").pipe("/shelf/rec/notes.txt", b"mine")
    with pytest.raises(UsageError, match="is not empty and is no recording"):
        look(Remote(URL), force=True)
    assert list(Remote(URL).sizes()) == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record", "-o", "r", "--spool", "s"], "`--spool` is for recordings that go to a URL"),
        (["record", "-o", "memory://r"], "gone when the command ends"),
        (["record", "-o", "s3://b/r", "--spool-size", "1KB"], "`1KB` is less than 1MB"),
        (["record", "-o", "s3://b/r", "--spool-size", "2MB"], "less than two files of"),
        (["record", "-o", "s3://b/r", "--send-wait", "0s"], "`0s` is shorter than 100 ms"),
        (["record", "-o", "s3://"], "names no place"),
        (["send", "no-such"], "there is no `no-such`"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(
    words, said, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    command = ["--", "true"] if words[0] == "record" else []
    assert run([*words, *command]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_goes_nowhere_needs_a_url(tmp_path, capsys):
    path = make_recording(tmp_path / "rec", files=[{}])
    assert run(["send", str(path)]) == 2
    assert "does not say where it goes to" in capsys.readouterr().err
    assert run(["send", str(path), str(tmp_path / "elsewhere")]) == 2
    assert "is no URL" in capsys.readouterr().err
    assert run(["send", "s3://bucket/rec", str(URL)]) == 2
    assert "`s3://bucket/rec` is a URL already" in capsys.readouterr().err
