"""Recordings of one run each: the old ones go, and nothing else."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ethogram.cli.storage_options import new_run_in
from ethogram.contracts.remote import RecordingUrl
from ethogram.errors import UsageError
from profiler.lock import lock_directory
from profiler.rotation import Retention
from profiler.runs import drop_earlier, name_of_run
from tests.recordings import make_recording

pytestmark = pytest.mark.unit

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9


def run_of(place: Path, days_ago: int) -> Path:
    path = make_recording(place / name_of_run(NOW - days_ago * DAY))
    written = NOW_NS - days_ago * 86_400 * 10**9
    os.utime(path / "manifest.json", ns=(written, written))
    return path


def test_names_sort_by_time() -> None:
    names = [name_of_run(NOW + n * timedelta(microseconds=300_000)) for n in range(5)]
    assert names == sorted(names)
    assert names[0] == "2026-11-23T060000.000000Z"


def test_what_is_older_goes_and_what_no_run_made_stays(tmp_path: Path) -> None:
    old, new = run_of(tmp_path, 8), run_of(tmp_path, 6)
    mine = make_recording(tmp_path / "mine")
    os.utime(mine / "manifest.json", ns=(1, 1))
    week = Retention("age", 7 * 86_400 * 10**9, "7d")
    assert drop_earlier(tmp_path, week, now_ns=NOW_NS) == [old]
    assert not old.exists()
    assert (new / "manifest.json").exists()
    assert (mine / "manifest.json").exists()
    assert drop_earlier(tmp_path / "none", week, now_ns=NOW_NS) == []


def test_by_size_the_oldest_go(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, days) for days in (3, 2, 1)]
    size = sum(file.stat().st_size for file in runs[2].rglob("*") if file.is_file())
    limit = Retention("size", 2 * size + size // 2, "x")
    assert drop_earlier(tmp_path, limit, now_ns=NOW_NS) == [runs[0]]


def test_what_another_process_writes_or_put_there_stays(tmp_path: Path) -> None:
    written, foreign = run_of(tmp_path, 8), run_of(tmp_path, 9)
    (foreign / "notes.txt").write_text("mine")
    lock = lock_directory(written)
    hour = Retention("age", 3600 * 10**9, "1h")
    assert drop_earlier(tmp_path, hour, now_ns=NOW_NS) == []
    os.close(lock)
    assert (written / "manifest.json").exists()
    assert (foreign / "notes.txt").exists()
    assert drop_earlier(tmp_path, hour, now_ns=NOW_NS) == [written]


def test_a_recorder_adds_its_run_to_what_is_there(tmp_path: Path) -> None:
    place = tmp_path / "recordings"
    first = new_run_in(place)
    assert isinstance(first, Path)
    make_recording(first)
    second = new_run_in(place)
    assert (place.is_dir(), str(second) > str(first)) == (True, True)
    url = new_run_in(RecordingUrl("s3://bucket/recordings/node-1/"))
    assert re.fullmatch(r"s3://bucket/recordings/node-1/[0-9TZ.-]+", str(url))
    with pytest.raises(UsageError, match="is a recording, not a directory of recordings"):
        new_run_in(first)
