"""Streams of a journal that end anywhere, or are none."""

import shutil
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from ethogram.contracts.manifest import write_manifest
from ethogram.contracts.recording import Recording
from ethogram.errors import RecordingError
from tests.recordings import make_manifest, make_recording

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def journal_bytes(tmp_path_factory) -> bytes:
    """A stream of three batches, of 1, 2 and 3 rows."""
    path = tmp_path_factory.mktemp("journal") / "rec"
    rows = [{"window": number, "kind": "quota", "place": f"map {number}", "count": number}
            for number in range(3) for _ in range(number + 1)]  # fmt: skip
    make_recording(path, is_closed=False, losses=rows)
    return (path / "journal/losses-00000.arrows").read_bytes()


def stream_recording(path: Path, data: bytes) -> Recording:
    """Return a recording at *path* whose only stream, of table `losses`, is *data*."""
    (path / "journal").mkdir(exist_ok=True)
    write_manifest(path, make_manifest(), sync=False)
    (path / "journal/losses-00000.arrows").write_bytes(data)
    return Recording.open(path)


def test_a_stream_cut_anywhere_gives_its_whole_batches(tmp_path, journal_bytes):
    whole = stream_recording(tmp_path, journal_bytes)
    assert not whole.is_truncated
    rows = whole.table("losses").to_pylist()
    assert len(rows) == 6
    seen = set()
    for length in range(len(journal_bytes)):
        recording = stream_recording(tmp_path, journal_bytes[:length])
        read = recording.table("losses").to_pylist()
        assert read == rows[: len(read)]
        seen.add((len(read), recording.is_truncated))
    # At an end of a message nothing tells that more was to come.
    assert seen == {(n, cut) for n in (0, 1, 3) for cut in (True, False)}


def test_zeros_that_a_file_system_left_are_an_end(tmp_path, journal_bytes):
    for zeros in (1, 8, 4096):
        recording = stream_recording(tmp_path, journal_bytes + bytes(zeros))
        assert recording.truncated_tables == ("losses",)
        assert recording.table("losses").num_rows == 6


def test_a_stream_of_another_kind_is_refused(tmp_path, journal_bytes):
    with pytest.raises(RecordingError, match=r"losses-00000.arrows` is no journal"):
        stream_recording(tmp_path, b"PAR1" * 100)
    end = struct.pack("<Ii", 0xFFFFFFFF, 0)
    with pytest.raises(RecordingError, match="bytes follow its end"):
        stream_recording(tmp_path, journal_bytes + end + journal_bytes)


def test_a_damaged_stream_is_refused_or_read_and_never_crashes(tmp_path, journal_bytes):
    for position in range(0, len(journal_bytes), 3):
        data = bytearray(journal_bytes)
        data[position] ^= 0xFF
        with suppress(RecordingError):
            stream_recording(tmp_path, bytes(data)).table("losses").validate(full=True)


def test_a_stream_of_another_table_is_refused_by_column(tmp_path):
    path = make_recording(tmp_path / "rec", is_closed=False, files=[{}])
    (path / "journal/files-00000.arrows").rename(path / "journal/dns-00000.arrows")
    with pytest.raises(RecordingError, match="is no table `dns`: it lacks column `qname`"):
        Recording.open(path).table("dns")


def test_a_stream_whose_part_is_compacted_does_not_count(tmp_path):
    open_one = make_recording(tmp_path / "open", is_closed=False, files=[{}] * 23)
    closed = make_recording(tmp_path / "closed", files=[{}] * 23)
    shutil.copytree(open_one / "journal", closed / "journal")
    assert Recording.open(closed).table("files").num_rows == 23
