"""What a watch keeps for the next one: findings, and since when nobody watches."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.findings import Findings
from detector.processes import ProcessTree
from detector.sensor.heartbeat import Heartbeat, gap_since
from detector.sensor.kept import Kept
from detector.sensor.kept_findings import KeptFindings
from detector.sensor.telling import last_words, sensor_whose, sighting_of
from detector.sensor.troubles import Trouble
from ethogram.contracts.finding import Finding
from ethogram.errors import UsageError

pytestmark = pytest.mark.unit

S = 10**9
NOW = 1_795_000_000 * S
BEAT = Heartbeat(
    schema="ethogram.watch-heartbeat/1", state="watching", run="r1", pid=7, boot_id="b1",
    boot_ns=50 * S, utc_ns=NOW,
)  # fmt: skip


def finding(number: int, *, run: str = "r1", seconds: int = 0) -> Finding:
    """Return a finding about the sensor, as the run *run* tells it."""
    return told(number, run=run, seconds=seconds)[-1]


def told(number: int, *, run: str, seconds: int = 0, kept: KeptFindings | None = None,
         times: int = 1) -> list[Finding]:  # fmt: skip
    """Return what a watch that knows *kept* tells of one trouble that comes so many *times*."""
    lines: list[Finding] = []
    findings = Findings(ProcessTree(), lines.append)
    if kept:
        findings.recall(kept.read())
    at_ns = NOW + seconds * S
    trouble = Trouble("sensor-detached", "gone", at_ns, at_ns, identity=str(number))
    for _ in range(times):
        findings.take(sighting_of(trouble, is_ours=True), sensor_whose("h", run, "ok"), at_ns)
    findings.tell_again(at_ns, is_last=True)
    return lines


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def kept(place: Path, said: list[str]) -> Iterator[Kept]:
    opened = Kept(place, said.append)
    yield opened
    opened.close()


def again(place: Path) -> KeptFindings:
    return KeptFindings(place)


def test_the_same_in_the_same_instance_is_counted_on(kept: Kept, place: Path) -> None:
    kept.add(finding(1))
    kept.close()
    lines = told(1, run="r1", seconds=5, kept=again(place), times=3)
    assert [one.count for one in lines] == [4], "told once, at the end"
    assert lines[0].first_seen == finding(1).first_seen


def test_the_same_in_another_instance_is_told_with_the_count_of_all(
    kept: Kept, place: Path
) -> None:
    kept.add(finding(1))
    kept.close()
    (line,) = told(1, run="r2", kept=again(place))
    assert line.count == 2
    assert line.instance_key == "h/watch-r2"


def test_each_instance_is_remembered_and_the_last_count(kept: Kept, place: Path) -> None:
    kept.add(finding(1))
    kept.add(finding(1, run="r2").model_copy(update={"count": 9}))
    kept.close()
    assert told(1, run="r1", kept=again(place), times=1)[0].count == 10
    assert next(iter(again(place).read().values())).instances == {"h/watch-r1", "h/watch-r2"}


def test_half_a_last_line_is_no_damage(kept: Kept, place: Path, said: list[str]) -> None:
    kept.add(finding(1))
    kept.add(finding(2))
    kept.close()
    path = place / "findings.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with_half = Kept(place, said.append)
    assert len(with_half.told) == 1
    assert said == []
    with_half.close()


@pytest.mark.parametrize(
    "line", [b"rubbish", b"{}", b"[1]", b'{"schema": "x"}', b"\xff\0", b"[" * 9999]
)
def test_damaged_lines_are_left_out_and_kept_aside(
    line: bytes, kept: Kept, place: Path, said: list[str]
) -> None:
    kept.add(finding(1))
    kept.close()
    path = place / "findings.jsonl"
    whole = path.read_bytes()
    path.write_bytes(line + b"\n" + whole)
    found = Kept(place, said.append)
    found.close()
    assert len(found.told) == 1
    assert "was damaged: 1 lines of it are not believed" in said[0]
    assert (place / "findings.jsonl.damaged").read_bytes() == line + b"\n" + whole
    assert path.read_bytes() == whole


def test_a_finding_of_another_version_is_told_anew(place: Path) -> None:
    line = finding(1).line().replace('"count": 1', '"count": "many"')
    (place / "findings.jsonl").write_text(line + "\n")
    assert [one.count for one in told(1, run="r1", kept=again(place))] == [1]


def test_it_stays_small(place: Path) -> None:
    small = KeptFindings(place, most=3)
    small.read()
    for number in range(100):
        assert small.add(finding(number % 7))
    small.close()
    path = place / "findings.jsonl"
    assert len(path.read_bytes().splitlines()) <= 12
    assert len(KeptFindings(place, most=3).read()) == 3


def test_of_what_was_told_again_and_again_the_last_lines_alone_are_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = os.pread

    def pread(descriptor: int, length: int, at: int) -> bytes:
        read.append(length)
        return real(descriptor, length, at)

    monkeypatch.setattr(os, "pread", pread)
    small = KeptFindings(place, most=30)
    small.read()
    for number in range(121):  # of two findings, more lines than are kept
        assert small.add(finding(number % 2, seconds=number))
    small.close()
    assert len(read) == 2
    lines = KeptFindings(place).read()
    assert sorted(one.line.decode() for one in lines.values()) == sorted(
        finding(number % 2, seconds=number).line() for number in (119, 120)
    )


def test_a_compaction_that_fails_is_not_tried_each_time(place: Path) -> None:
    small = KeptFindings(place, most=3)
    small.read()
    assert all(small.add(finding(number)) for number in range(12))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert not small.add(finding(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    tried = [small.add(finding(number)) for number in range(101)]
    assert tried == [False] * 100 + [True]
    small.close()
    assert len(KeptFindings(place).read()) == 4


def test_a_file_that_another_wrote_is_seen_once(kept: Kept, place: Path) -> None:
    kept.add(finding(1))
    assert not kept.is_touched()
    with (place / "findings.jsonl").open("ab") as file:
        file.write(b"x\n")
    assert kept.is_touched()
    assert not kept.is_touched()
    (place / "findings.jsonl").unlink()
    assert kept.is_touched()
    kept.add(finding(2))
    assert not kept.is_touched()


def test_a_disk_that_takes_nothing_is_said_once(kept: Kept, place: Path, said: list[str]) -> None:
    kept.add(finding(1))
    whole = (place / "findings.jsonl").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
    try:
        kept.add(finding(2))
        kept.add(finding(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (place / "findings.jsonl").read_bytes() == whole, "half a line is none"
    assert len(said) == 1
    assert "cannot be written: after a restart findings may be told again" in said[0]
    kept.add(finding(4))
    assert not kept.is_touched()


def test_two_watches_do_not_share_one(kept: Kept, place: Path) -> None:
    with pytest.raises(UsageError, match="another watch uses"):
        Kept(place, print)
    kept.close()
    Kept(place, print).close()


@pytest.mark.parametrize("mode", [0o770, 0o777])
def test_where_others_can_write_is_refused(mode: int, place: Path) -> None:
    place.chmod(mode)
    with pytest.raises(UsageError, match="others can write"):
        Kept(place, print)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used"):
        Kept(tmp_path / "file", print)


# --- since when -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "boot_id", "cause"),
    [
        ("watching", "b1", "killed"),
        ("watching", "b2", "host rebooted"),
        ("failed", "b1", "failed"),
        ("ended", "b1", "clean end"),
        ("ended", "b2", "clean end"),
    ],
)
def test_the_gap_says_how_the_watch_before_ended(state: str, boot_id: str, cause: str) -> None:
    before = BEAT.model_copy(update={"state": state})
    gap = gap_since(before, boot_id=boot_id, boot_ns=60 * S, utc_ns=NOW + 10 * S)
    assert (gap.cause, gap.seconds) == (cause, 10.0)


def test_within_one_boot_a_stepped_clock_changes_no_gap() -> None:
    gap = gap_since(BEAT, boot_id="b1", boot_ns=60 * S, utc_ns=NOW - 3600 * S)
    assert gap.seconds == 10.0


def test_a_clock_that_went_back_over_a_boot_makes_no_negative_gap() -> None:
    assert gap_since(BEAT, boot_id="b2", boot_ns=1, utc_ns=NOW - 3600 * S).seconds == 0


def test_a_heartbeat_is_read_by_the_next_watch(kept: Kept, place: Path) -> None:
    assert kept.gap(boot_id="b1", boot_ns=0, utc_ns=0) is None
    kept.beat(BEAT)
    kept.close()
    following = Kept(place, print)
    gap = following.gap(boot_id="b1", boot_ns=51 * S, utc_ns=NOW + S)
    following.close()
    assert gap is not None
    assert (gap.cause, gap.run, gap.seconds) == ("killed", "r1", 1.0)


def test_a_damaged_heartbeat_is_said_and_kept_aside(place: Path, said: list[str]) -> None:
    (place / "heartbeat.json").write_text("{")
    found = Kept(place, said.append)
    found.close()
    assert found.gap(boot_id="b1", boot_ns=0, utc_ns=0) is None
    assert "heartbeat.json` was damaged" in said[0]
    assert (place / "heartbeat.json.damaged").read_text() == "{"


# --- last words -----------------------------------------------------------------------------------


def test_last_words_are_the_finding_that_the_next_watch_tells(kept: Kept, place: Path) -> None:
    words = last_words("h", kept.run, 7, told={}, now_ns=NOW)
    assert (words.rule, words.severity, words.count) == ("sensor-killed", "high", 1)
    kept.add(words)
    kept.close()
    later = KeptFindings(place).read()
    following = last_words("h", "another", 8, told=later, now_ns=NOW)
    assert (following.fingerprint, following.count) == (words.fingerprint, 2)
