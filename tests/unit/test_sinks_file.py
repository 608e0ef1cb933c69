"""Findings in a file: whole lines, rotated, and nothing lost on a full disk."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from detector.sinks.protocol import LaterError
from tests.sinks import HOSTILE, make_finding, make_record, outlet_to

pytestmark = pytest.mark.unit


def numbers(*paths: Path) -> list[str]:
    return [
        json.loads(line)["process"]["argv"][-1]
        for path in paths
        for line in path.read_text().splitlines()
    ]


def test_each_is_a_line_as_on_standard_output(tmp_path: Path) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f.jsonl")
    outlet.send([make_record(1, title=HOSTILE), make_record(2)])
    outlet.send([make_record(3)])
    outlet.close()
    lines = (tmp_path / "f.jsonl").read_text().splitlines()
    assert lines[0] == make_finding(1, title=HOSTILE).line()
    assert len(lines) == 3
    assert (tmp_path / "f.jsonl").stat().st_mode & 0o777 == 0o600


def test_it_is_rotated_between_lines_and_the_oldest_go(tmp_path: Path) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f#size=4KB&keep=3")
    for first in range(0, 40, 4):
        outlet.send([make_record(number) for number in range(first, first + 4)])
    names = [tmp_path / name for name in ("f.3", "f.2", "f.1", "f")]
    kept = numbers(*names)
    assert kept == [f"id {number}" for number in range(40 - len(kept), 40)]
    assert all(path.stat().st_size <= 4000 for path in names)
    assert not (tmp_path / "f.4").exists()
    outlet.close()


def test_a_line_that_is_longer_than_a_file_may_be_has_one_of_its_own(tmp_path: Path) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f#size=1KB")
    outlet.send([make_record(1, reason="x" * 3000), make_record(2, reason="x" * 3000)])
    assert numbers(tmp_path / "f.1", tmp_path / "f") == ["id 1", "id 2"]
    outlet.close()


def test_who_moves_the_file_away_gets_a_new_one(tmp_path: Path) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f")
    outlet.send([make_record(1)])
    (tmp_path / "f").rename(tmp_path / "moved")
    outlet.send([make_record(2)])
    assert numbers(tmp_path / "moved", tmp_path / "f") == ["id 1", "id 2"]
    outlet.close()


def test_a_torn_line_of_before_is_ended_first(tmp_path: Path) -> None:
    (tmp_path / "f").write_text('{"torn')
    outlet = outlet_to(f"file:{tmp_path}/f")
    outlet.send([make_record(1)])
    outlet.close()
    torn, whole = (tmp_path / "f").read_text().splitlines()
    assert torn == '{"torn'
    assert json.loads(whole)


def test_a_full_disk_leaves_no_half_line_and_is_tried_again(tmp_path: Path) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f")
    outlet.send([make_record(1)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "f").stat().st_size + 100, hard))
    try:
        with pytest.raises(LaterError, match="file too large"):
            outlet.send([make_record(2), make_record(3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert numbers(tmp_path / "f") == ["id 1"]
    outlet.send([make_record(2), make_record(3)])
    assert numbers(tmp_path / "f") == ["id 1", "id 2", "id 3"]
    outlet.close()
