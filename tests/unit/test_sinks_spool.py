"""The spool of a sink: nothing that fits is lost, whatever ends in the middle."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from detector.sinks.destination import SEVERITIES
from detector.sinks.spool import SpoolReader, SpoolWriter, waiting_bytes
from ethogram.contracts import finding
from ethogram.errors import UsageError
from tests.sinks import filled, make_finding

pytestmark = pytest.mark.unit


def drained(reader: SpoolReader, most: int = 7) -> list[str]:
    """Return the last argument of each process, in order, and commit after every batch."""
    seen: list[str] = []
    while True:
        records, position = reader.take(most)
        reader.commit(position)
        if not records:
            return seen
        seen += [record.body["process"]["argv"][-1] for record in records]


def words(numbers: range) -> list[str]:
    return [f"id {number}" for number in numbers]


def test_severities_are_those_of_findings() -> None:
    assert finding.SEVERITIES == SEVERITIES


def test_what_is_added_comes_out_once_and_in_order(tmp_path: Path) -> None:
    reader = filled(tmp_path, range(230), limit_bytes=512 * 1024)
    assert len(list(tmp_path.glob("*.segment"))) > 3
    assert drained(reader) == words(range(230))
    assert reader.position.sent == 230
    assert waiting_bytes(tmp_path) == 0
    assert len(list(tmp_path.glob("*.segment"))) == 1  # of the last, more might yet come


def test_a_reader_that_was_killed_begins_where_it_last_committed(tmp_path: Path) -> None:
    reader = filled(tmp_path, range(23))
    records, position = reader.take(10)
    reader.commit(position)
    reader.take(10)  # sent, but not committed
    assert drained(SpoolReader(tmp_path)) == words(range(10, 23))
    assert len(records) == 10


def test_a_writer_that_was_killed_leaves_half_a_line_which_is_counted(tmp_path: Path) -> None:
    filled(tmp_path, range(3))
    (segment,) = tmp_path.glob("*.segment")
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[:100])
    reader = SpoolReader(tmp_path)
    assert drained(reader) == words(range(3))
    assert reader.position.damaged == 0  # it may yet become whole
    filled(tmp_path, range(3, 5))
    assert drained(reader) == words(range(3, 5))
    assert reader.position.damaged == 1


def test_zeros_that_a_power_loss_left_do_not_hold_up_what_follows(tmp_path: Path) -> None:
    filled(tmp_path, range(3))
    (segment,) = tmp_path.glob("*.segment")
    with segment.open("ab") as file:
        file.truncate(file.tell() + (3 << 20))
    filled(tmp_path, range(3, 5), limit_bytes=8 << 20)
    reader = SpoolReader(tmp_path)
    assert drained(reader) == words(range(5))
    assert reader.position.damaged == 1


def test_what_a_power_loss_changed_is_not_sent(tmp_path: Path) -> None:
    reader = filled(tmp_path, range(3))
    (segment,) = tmp_path.glob("*.segment")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    assert drained(reader) == ["id 0", "id 2"]
    assert reader.position.damaged == 1
    assert reader.position.sent == 2


def test_beyond_its_size_findings_are_dropped_counted_and_the_count_stays(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 256 * 1024)
    line = make_finding().line()
    kept = [writer.add(line, is_new=True, severity="low") for _ in range(500)]
    assert kept.index(False) > 100
    assert not any(kept[kept.index(False) :])
    assert sum(path.stat().st_size for path in tmp_path.glob("*.segment")) <= 256 * 1024
    dropped = writer.dropped
    assert dropped == kept.count(False)
    # A tenth is kept for what is grave: whoever floods the spool does not hide the attack.
    assert writer.add(line, is_new=True, severity="critical")
    writer.close()
    again = SpoolWriter(tmp_path, 256 * 1024)
    assert again.dropped == dropped
    assert not again.add(line, is_new=True, severity="low")  # it is as full as it was
    again.close()


def test_once_something_was_sent_there_is_room_again(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 256 * 1024)
    line = make_finding().line()
    while writer.add(line, is_new=True, severity="low"):
        pass
    reader = SpoolReader(tmp_path)
    drained(reader)
    assert writer.add(line, is_new=False, severity="low")
    records, _ = reader.take(9)
    assert [record.is_new for record in records] == [False]
    writer.close()


def test_a_full_disk_is_a_drop_and_leaves_no_half_line(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 1 << 20)
    line = make_finding().line()
    assert writer.add(line, is_new=True, severity="low")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(line) + 100, hard))
    try:
        assert not writer.add(line, is_new=True, severity="critical")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert writer.dropped == 1
    assert writer.add(line, is_new=True, severity="low")
    assert len(drained(SpoolReader(tmp_path))) == 2
    writer.close()


def test_one_watch_a_spool(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 1 << 20)
    with pytest.raises(UsageError, match="another watch writes to the spool"):
        SpoolWriter(tmp_path, 1 << 20)
    writer.close()
    SpoolWriter(tmp_path, 1 << 20).close()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"number": "x"}',
        b"\xff",
        b'{"number": null}',
        b'{"number": -1, "offset": -9, "sent": 0, "refused": 0, "damaged": 0}',
        b'{"number": 1, "offset": 1e999, "sent": 0, "refused": 0, "damaged": 0}',
    ],
)
def test_a_position_that_is_rubbish_sends_again_rather_than_nothing(
    tmp_path: Path, text: bytes
) -> None:
    filled(tmp_path, range(3))
    (tmp_path / "position.json").write_bytes(text)
    assert drained(SpoolReader(tmp_path)) == words(range(3))


def test_a_line_that_no_encoding_has_is_kept_as_json(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, 1 << 20)
    assert writer.add(json.dumps({"a": "\udcff"}), is_new=True, severity="low")
    records, _ = SpoolReader(tmp_path).take(1)
    assert records[0].body == {"a": "\udcff"}
    writer.close()
    assert (tmp_path / "writing").stat().st_mode & 0o077 == 0
