"""Events of OCSF, against the schema that OCSF publishes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from detector.sinks.ocsf_events import OCSF_VERSION, detection_finding
from ethogram.contracts.baseline import Subject
from ethogram.contracts.finding import Attack
from ethogram.errors import UsageError
from tests.sinks import HOSTILE, SENDER, WHOLE, make_record, outlet_to

pytestmark = pytest.mark.unit


@cache
def validator() -> Any:
    """Return what checks an event; it takes no attribute that the class or a profile has not."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION)).get_class_schema(
        class_name="detection_finding", profiles=["container", "host"]
    )
    assert schema["additionalProperties"] is False
    return jsonschema.Draft202012Validator(schema)


def event(number: int = 1, *, is_new: bool = True, **fields: Any) -> dict[str, Any]:
    made = detection_finding(make_record(number, is_new=is_new, **fields), SENDER)
    validator().validate(made)
    return made


def test_the_schema_refuses_what_is_wrong() -> None:
    made = event()
    for change in (
        {"severity_id": 17},
        {"color": "red"},
        {"time": "now"},
        {"finding_info": {}},
        {"evidences": [{"data": {}, "colour": 1}]},
        {"device": {"type_id": 0}},
    ):
        assert not validator().is_valid({**made, **change})


def test_a_deviation_is_an_alert_with_its_evidence_and_what_was_learnt() -> None:
    made = event(count=7)
    assert (made["class_uid"], made["type_uid"], made["time"]) == (2004, 200401, 1795413601000)
    assert (made["severity_id"], made["is_alert"], made["count"]) == (3, True, 7)
    assert made["metadata"]["version"] == "1.8.0"
    info = made["finding_info"]
    assert info["uid"] == make_record().body["fingerprint"]
    assert info["attacks"] == [
        {"version": "19", "technique": {"uid": "T1059"}, "sub_technique": {"uid": "T1059.004"}}
    ]
    (evidence,) = made["evidences"]
    assert evidence["container"] == {"uid": "3f2a9c81d0b4" * 5, "name": "nginx"}
    process = evidence["process"]
    assert (process["pid"], process["uid"], process["name"]) == (4711, "e1", "dash")
    assert process["cmd_line"] == "sh -c id 1"
    assert process["ancestry"] == [{"uid": "e0", "path": "/usr/sbin/nginx", "name": "nginx"}]
    (analysis,) = made["anomaly_analyses"]
    assert analysis["anomalies"][0]["observations"] == [{"value": "/usr/bin/dash", "count": 7}]
    assert analysis["baselines"][0]["observations"] == [{"value": "/usr/sbin/nginx"}]


def test_an_indicator_says_how_sure_it_is_and_which_requirements_it_concerns() -> None:
    tags = {"standard": "NIST CSF", "version": "2.0", "requirements": ["DE.CM-09", "PR.PS-05"]}
    made = event(layer="indicator", confidence="high", compliance=[tags])
    assert (made["confidence_id"], made["confidence"]) == (3, "High")
    assert made["finding_info"]["tags"] == [
        {"name": "NIST CSF 2.0", "values": ["DE.CM-09", "PR.PS-05"]}
    ]


def test_one_that_is_told_again_is_an_update_of_the_same_finding() -> None:
    first, again = event(), event(is_new=False, count=9, last_seen="2026-11-23T07:00:00Z")
    assert (again["activity_id"], again["type_uid"]) == (2, 200402)
    assert first["finding_info"]["uid"] == again["finding_info"]["uid"]
    assert first["metadata"]["uid"] != again["metadata"]["uid"]


@pytest.mark.parametrize("severity", ["info", "low", "medium", "high", "critical"])
@pytest.mark.parametrize("layer", ["deviation", "indicator", "anomaly"])
def test_every_severity_and_layer_is_valid(severity: str, layer: str) -> None:
    event(severity=severity, layer=layer)


@pytest.mark.parametrize("fields", [
    {"process": None}, {"container_id": None, "process": None, "attack": ()},
    {"workload": Subject(kind="Unit", name="ssh.service"), "container_id": None},
    {"title": HOSTILE, "reason": HOSTILE}, {"attack": (Attack(technique="T1611", version="19"),)},
    {"baseline": None, "workload_state": "unknown"}, WHOLE,
    {"peer": {"direction": "out", "protocol": "unix", "unix_path": "/run/x.sock"}},
    {"peer": {"direction": "listen", "protocol": "tcp", "local_address": "::", "local_port": 80}},
    {"instance": {"runtime_id": "3f", "pod_uid": "0123456789abcdef"}},
    {"peer": {"direction": "bind", "protocol": "packet"}},
    {"peer": {"direction": "in", "protocol": "udp", "address": "10.0.0.1"}},
])  # fmt: skip
def test_it_is_valid_whatever_is_not_known(fields: dict[str, Any]) -> None:
    event(**fields)


def test_whatever_is_known_of_process_container_file_and_peer_is_told() -> None:
    made = event(**WHOLE)
    (evidence,) = made["evidences"]
    assert evidence["container"]["image"] == {
        "uid": "sha256:" + "a" * 64, "name": "registry.example:5000/shop/nginx", "tag": "1.27",
    }  # fmt: skip
    assert (evidence["container"]["pod_uuid"], evidence["container"]["runtime"]) == (
        "0b8f3c52-6d0e-4f7e-9c1d-2a3b4c5d6e7f", "runc",
    )  # fmt: skip
    process = evidence["process"]
    assert process["user"] == {"uid": "33"}
    assert process["session"] == {"uid": "3"}
    assert (process["namespace_pid"], process["working_directory"]) == (17, "/tmp")
    assert process["parent_process"]["uid"] == "e3"
    assert [one["pid"] for one in process["ancestry"]] == [4710, 4700]
    assert process["file"]["hashes"][0]["value"] == "b" * 64
    assert process["file"]["is_deleted"]
    assert (evidence["file"]["path"], evidence["file"]["uid"]) == ("/tmp/x", "43:7")
    assert evidence["dst_endpoint"]["ip"] == "203.0.113.7"
    assert evidence["src_endpoint"] == {"ip": "10.0.0.11", "port": 40000}
    assert evidence["connection_info"]["protocol_num"] == 6
    assert evidence["query"] == {"hostname": "evil.example", "type": "AAAA"}
    told = made["unmapped"]
    assert (told["entry"]["type"], told["loginuid"], told["candidates"]) == ("exec", 1000, 3)
    assert told["container_root"]["exec_id"] == "e0"


def test_a_file_gets_a_line_for_each(tmp_path: Path) -> None:
    outlet = outlet_to(f"ocsf+file:{tmp_path}/o.jsonl")
    outlet.send([make_record(1, title=HOSTILE), make_record(2)])
    outlet.close()
    lines = (tmp_path / "o.jsonl").read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        validator().validate(json.loads(line))


@pytest.mark.parametrize("url", [
    "ocsf+file:/tmp/o#token-env=X", "ocsf+https://h/#keep=3", "ocsf+https://h/#body=one",
    "ocsf+tcp://h",
])  # fmt: skip
def test_settings_of_the_other_transport_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        outlet_to(url)
