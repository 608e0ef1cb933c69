"""Events on their way to receivers: each format, the spool, and what is dropped."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from detector.sinks.destination import KINDS, Destination
from detector.sinks.notices import RULE, Notices
from detector.sinks.ocsf_activities import activity_event
from detector.sinks.ocsf_events import detection_finding
from detector.sinks.protocol import Record
from detector.sinks.registry import check
from detector.sinks.spool import SpoolReader, SpoolWriter
from detector.sinks.syslog import message
from ethogram.contracts.event import EVENT_KINDS
from ethogram.errors import UsageError
from tests.events import every_event
from tests.sinks import SENDER, make_finding, outlet_to

pytestmark = pytest.mark.unit


@cache
def validator(name: str) -> Any:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0")).get_class_schema(
        class_name=name, profiles=["container", "host"]
    )
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    return every_event(tmp_path)


def activities(records: list[Record]) -> dict[str, dict[str, Any]]:
    classes = {1007: "process_activity", 4001: "network_activity", 4003: "dns_activity"}
    made = {}
    for record in records:
        event = activity_event(record, SENDER)
        validator(classes[event["class_uid"]]).validate(event)
        made[record.body["activity"]] = event
    return made


def test_kinds_are_those_of_events() -> None:
    assert KINDS == EVENT_KINDS


def test_every_event_is_a_valid_activity_of_ocsf(records: list[Record]) -> None:
    made = activities(records)
    assert {name: one["type_uid"] for name, one in made.items()} == {
        "present": 100799, "exec": 100701, "exec_failed": 100701, "fork": 100701, "exit": 100702,
        "connect": 400101, "accept": 400101, "listen": 400107, "bind": 400199,
        "traffic": 400106, "dns": 400306,
    }  # fmt: skip
    for name, enum in (("activity_id", {"listen": 7, "traffic": 6, "exit": 2}),):
        assert {one: made[one][name] for one in enum} == enum


def test_an_activity_has_its_process_its_parent_and_both_ends(records: list[Record]) -> None:
    made = activities(records)
    tried = made["exec_failed"]
    assert (tried["status"], tried["status_code"], tried["launch_type"]) == (
        "Failure", "13", "Exec",
    )  # fmt: skip
    assert made["fork"]["actor"]["process"]["uid"] == "a"
    assert made["fork"]["process"]["container"]["uid"] == "c" * 64
    assert made["accept"]["traffic"] == {"bytes_in": 10, "bytes_out": 20}
    assert made["accept"]["dst_endpoint"] == {"ip": "10.0.0.11", "port": 80}
    assert made["accept"]["src_endpoint"]["ip"] == "10.0.0.21"
    assert made["accept"]["actor"]["process"]["pid"] == 4711
    assert made["dns"]["query"]["hostname"] == "x.example"


def test_syslog_names_an_event_by_kind_and_activity(records: list[Record]) -> None:
    for record in records:
        head, _, body = message(record, SENDER, facility=10, most=65536).partition(b"\xef\xbb\xbf")
        name = f" {record.body['kind']}-{record.body['activity']} "
        assert head.startswith(b"<86>1 ")
        assert name.encode() in head
        assert json.loads(body) == record.body


def test_files_take_findings_and_events(tmp_path: Path, records: list[Record]) -> None:
    outlet = outlet_to(f"file:{tmp_path}/f.jsonl#events=process+network")
    outlet.send(records)
    outlet.close()
    lines = (tmp_path / "f.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record.body for record in records]


@pytest.mark.parametrize(("text", "kinds"), [
    ("process", {"process"}), ("process+network", {"process", "network"}),
    ("network,process", {"process", "network"}),
])  # fmt: skip
def test_a_sink_says_which_events_it_wants(text: str, kinds: set[str]) -> None:
    destination = Destination.parse(f"file:/tmp/f#events={text}")
    assert check(destination).takes_events  # type: ignore[attr-defined]
    assert destination.events == kinds


@pytest.mark.parametrize(("url", "cause"), [
    ("alertmanager+http://h:9093#events=process", "takes findings only"),
    ("file:/tmp/f#events=files", "no kind `files`"),
])  # fmt: skip
def test_events_are_refused_where_nothing_takes_them(url: str, cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        check(Destination.parse(url))


def spools(tmp_path: Path) -> tuple[SpoolWriter, SpoolWriter]:
    return SpoolWriter(tmp_path / "f", 256 * 1024), SpoolWriter(tmp_path / "e", 256 * 1024)


def drain(directory: Path) -> list[Record]:
    reader, records = SpoolReader(directory), []
    while True:
        some, position = reader.take(500)
        reader.commit(position)
        if not some:
            return records
        records += some


def test_many_lines_come_out_as_they_went_in(tmp_path: Path) -> None:
    _, writer = spools(tmp_path)
    lines = [json.dumps({"number": number}) for number in range(523)]
    assert writer.add_all(lines) == 0
    writer.close()
    assert [record.line for record in drain(tmp_path / "e")] == lines


def test_more_than_there_is_room_for_is_dropped_and_counted(tmp_path: Path) -> None:
    _, writer = spools(tmp_path)
    line = json.dumps({"text": "x" * 1000})
    dropped = writer.add_all([line] * 500)
    assert 0 < dropped == writer.dropped
    writer.close()
    assert len(drain(tmp_path / "e")) == 500 - dropped


class Clock:
    ns = 10**18

    def __call__(self) -> int:
        return self.ns


def test_a_receiver_is_told_once_how_much_it_will_never_get(tmp_path: Path) -> None:
    findings, events = spools(tmp_path)
    clock = Clock()
    notices = Notices(SENDER, clock)
    assert not notices.tell("file:/f", findings, events)
    line = make_finding().line()
    while findings.add(line, is_new=True, severity="critical"):
        pass
    events.dropped += 23
    assert not notices.tell("file:/f", findings, events)  # there is no room for the notice either
    drain(tmp_path / "f")
    assert notices.tell("file:/f", findings, events)
    assert not notices.tell("file:/f", findings, events)
    findings.close()
    events.close()
    (record,) = drain(tmp_path / "f")
    assert record.body["rule"] == RULE
    assert record.body["evidence"]["observed"] == "1 findings and 23 events dropped"
    assert (record.is_new, record.body["count"], record.body["severity"]) == (True, 24, "medium")
    detection_finding(record, SENDER)
    again = spools(tmp_path)
    assert [spool.untold for spool in again] == [0, 0]  # the next watch has nothing to tell
    for spool in again:
        spool.close()


def test_what_is_dropped_on_and_on_is_told_once_a_minute(tmp_path: Path) -> None:
    findings, events = spools(tmp_path)
    clock = Clock()
    notices = Notices(SENDER, clock)
    told = []
    for _ in range(120):
        events.dropped += 1
        clock.ns += 10**9
        told.append(notices.tell("file:/f", findings, events))
    assert sum(told) == 2
    assert notices.tell("file:/f", findings, events, is_last=True)
    findings.close()
    events.close()
    counts = [record.body["count"] for record in drain(tmp_path / "f")]
    assert counts[-1] == 120
