"""A disk that is full while it is recorded to: a real one, of two megabytes."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.manifest import read_manifest
from ethogram.contracts.recording import Recording
from ethogram.errors import CaptureError
from profiler.compaction import compact
from profiler.journal import Journal
from profiler.rotation import Rotation
from tests.recordings import columns_of, make_manifest

pytestmark = pytest.mark.e2e


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        # Lazily, so that a file which a failing test left open does not keep the mount.
        subprocess.run(["umount", "--lazy", place], check=True)


def add_window(journal: Journal, number: int, rows: int = 100) -> None:
    row = {"window": number, "path": b"/x" * 100}
    journal.append("files", columns_of("files", [row] * rows))
    journal.append("dns", columns_of("dns", [{"window": number}]))
    journal.append("windows", columns_of("windows", [{"window": number}]))
    journal.flush()


def fill(disk: Path) -> Path:
    """Take all the space that *disk* has left, down to the last byte."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast


def record_until_full(journal: Journal) -> tuple[int, CaptureError]:
    for number in range(1000):
        try:
            add_window(journal, number)
        except CaptureError as error:
            return number, error
    raise AssertionError("the disk took a thousand windows")


def test_every_window_before_the_disk_was_full_is_kept_and_no_part_of_a_later_one(disk):
    journal = Journal.create(disk / "rec", make_manifest())
    kept, error = record_until_full(journal)
    assert kept > 3
    assert error.exit_code == 4
    assert f"No space left on device; {kept} windows are kept" in error.message
    assert "ethogram show" in error.hint
    manifest = journal.close()
    assert not manifest.clean_end
    recording = Recording.open(disk / "rec")
    assert recording.manifest.windows == kept
    assert not recording.is_truncated
    for table, times in (("windows", 1), ("dns", 1), ("files", 100)):
        windows = recording.table(table).column("window").to_pylist()
        assert windows == [number for number in range(kept) for _ in range(times)]


def test_a_disk_that_fills_in_compaction_leaves_the_journal(disk):
    journal = Journal.create(disk / "rec", make_manifest())
    for number in range(3):
        add_window(journal, number)
    wanted = Recording.open(disk / "rec").table("files")
    ballast = fill(disk)
    with pytest.raises(CaptureError, match="No space left on device; 3 windows are kept"):
        journal.close()
    recording = Recording.open(disk / "rec")
    assert recording.table("files").equals(wanted)
    assert recording.manifest.windows == 3
    with pytest.raises(CaptureError, match="cannot be compacted: No space left on device"):
        compact(disk / "rec")
    assert Recording.open(disk / "rec").table("files").equals(wanted)

    ballast.unlink()
    compact(disk / "rec")
    recording = Recording.open(disk / "rec")
    recording.verify()
    assert recording.table("files").equals(wanted)
    assert not list((disk / "rec").glob("journal")) + list((disk / "rec").glob("*.tmp"))


def test_a_disk_with_room_for_the_end_but_not_for_parquet_keeps_a_clean_journal(disk):
    journal = Journal.create(disk / "rec", make_manifest())
    # Incompressible, so that Parquet needs as much again as the journal.
    noise = random.Random(23)
    paths = [noise.randbytes(200) for _ in range(4000)]
    journal.append("files", columns_of("files", [{"path": path} for path in paths]))
    journal.append("windows", columns_of("windows", [{}]))
    journal.flush()
    (disk / "ballast").write_bytes(bytes(300_000))
    with pytest.raises(CaptureError, match="1 window is kept"):
        journal.close()
    assert read_manifest(disk / "rec").clean_end
    assert Recording.open(disk / "rec").table("files").column("path").to_pylist() == paths


def test_a_disk_that_is_full_from_the_start_is_said(disk):
    fill(disk)
    with pytest.raises(CaptureError, match="No space left on device; 0 windows are kept"):
        Journal.create(disk / "rec", make_manifest())


def test_a_disk_that_fills_while_files_are_rotated_keeps_every_window(disk):
    journal = Journal.create(disk / "rec", make_manifest(), rotation=Rotation(size_bytes=200_000))
    # Incompressible, so that Parquet needs as much again as the journal.
    noise = random.Random(23)
    kept = 0

    def add(number: int) -> None:
        rows = [{"window": number, "path": noise.randbytes(200)} for _ in range(100)]
        journal.append("files", columns_of("files", rows))
        journal.append("windows", columns_of("windows", [{"window": number}]))
        journal.flush()

    while journal.manifest.files == ():
        add(kept)
        kept += 1
    fill(disk)
    ballast = disk / "ballast"
    # Enough for the journal to go on for a while, and not for Parquet beside it.
    os.truncate(ballast, ballast.stat().st_size - 250_000)
    with pytest.raises(CaptureError, match="No space left on device"):  # noqa: PT012
        while kept < 1000:
            kept += 1
            add(kept - 1)
    journal.close()
    recording = Recording.open(disk / "rec")
    windows = recording.table("windows").column("window").to_pylist()
    assert windows == list(range(len(windows)))
    # The window that was written before its segment was to be rotated is whole.
    assert len(windows) == recording.manifest.windows == kept
    files = recording.table("files").column("window").to_pylist()
    assert files == [number for number in windows for _ in range(100)]
