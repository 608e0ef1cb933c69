"""OTLP to a receiver that is built on the official protobufs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from detector.sinks.protocol import RefusedError
from ethogram.contracts.baseline import Subject
from ethogram.errors import UsageError
from tests.e2e.receivers import Receiver, http_receiver
from tests.events import every_event
from tests.sinks import HOSTILE, make_record, outlet_to

pytestmark = pytest.mark.e2e


def read(pairs: Any) -> dict[str, Any]:
    return {pair.key: value(pair.value) for pair in pairs}


def value(one: AnyValue) -> Any:
    kind = one.WhichOneof("value")
    assert kind is not None
    found = getattr(one, kind)
    return [value(part) for part in found.values] if kind == "array_value" else found


def requests(receiver: Receiver) -> list[ExportLogsServiceRequest]:
    assert {post.path for post in receiver.posts} == {"/v1/logs"}
    assert {post.headers["Content-Type"] for post in receiver.posts} == {"application/x-protobuf"}
    return [ExportLogsServiceRequest.FromString(post.body) for post in receiver.posts]


def test_an_event_is_a_log_record_too(tmp_path: Path) -> None:
    with http_receiver(answer=ExportLogsServiceResponse().SerializeToString()) as receiver:
        outlet = outlet_to(f"otlp+http://127.0.0.1:{receiver.port}")
        outlet.send(every_event(tmp_path))
        outlet.close()
    (got,) = requests(receiver)
    logs = [record for resource in got.resource_logs for scope in resource.scope_logs
            for record in scope.log_records]  # fmt: skip
    assert {record.event_name for record in logs} == {"runtime.process", "runtime.network"}
    told = {read(record.attributes)["ethogram.event.activity"]: read(record.attributes)
            for record in logs}  # fmt: skip
    assert told["accept"]["network.peer.address"] == "10.0.0.21"
    assert told["exec"]["process.executable.path"] == "/usr/bin/curl"
    assert told["exit"]["ethogram.process.exec_id"] == "a3"


def test_a_finding_is_a_log_record_of_its_workload() -> None:
    unit = Subject(kind="Unit", name="ssh.service")
    with http_receiver(answer=ExportLogsServiceResponse().SerializeToString()) as receiver:
        outlet = outlet_to(f"otlp+http://127.0.0.1:{receiver.port}")
        outlet.send([
            make_record(1, severity="critical", title=HOSTILE), make_record(2, is_new=False),
            make_record(3, workload=unit, container_id=None, process=None),
        ])  # fmt: skip
        outlet.close()
    (got,) = requests(receiver)
    shop, ssh = got.resource_logs
    assert read(shop.resource.attributes) == {
        "service.name": "ethogram", "host.name": "node-7", "k8s.cluster.name": "prod",
        "k8s.namespace.name": "shop", "k8s.deployment.name": "checkout",
        "k8s.container.name": "nginx", "ethogram.workload.kind": "Deployment",
        "container.id": "3f2a9c81d0b4" * 5,
    }  # fmt: skip
    assert read(ssh.resource.attributes)["ethogram.workload.name"] == "ssh.service"
    first, second = shop.scope_logs[0].log_records
    assert first.event_name == "runtime.finding"
    assert (first.severity_number, first.severity_text) == (21, "critical")
    assert first.body.string_value == f"{HOSTILE}: /usr/bin/dash"
    assert first.time_unix_nano == 1795413601_000000000
    attributes = read(first.attributes)
    assert attributes["process.pid"] == 4711
    assert attributes["process.command_args"] == ["sh", "-c", "id 1"]
    assert attributes["ethogram.process.ancestry"] == ["/usr/sbin/nginx"]
    assert attributes["ethogram.is_new"] is True
    assert read(second.attributes)["ethogram.is_new"] is False
    assert "process.pid" not in read(ssh.scope_logs[0].log_records[0].attributes)


def test_what_a_receiver_rejects_is_counted_and_not_sent_again() -> None:
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 2
    with http_receiver(answer=answer.SerializeToString()) as receiver:
        outlet = outlet_to(f"otlp+http://127.0.0.1:{receiver.port}")
        with pytest.raises(RefusedError) as error:
            outlet.send([make_record(number) for number in range(5)])
        outlet.close()
    assert error.value.count == 2


@pytest.mark.parametrize("answer", [b"", b"\xff\xff\xff", b"<html>thanks</html>"])
def test_an_answer_that_is_none_still_means_it_arrived(answer: bytes) -> None:
    with http_receiver(answer=answer) as receiver:
        outlet = outlet_to(f"otlp+http://127.0.0.1:{receiver.port}/prefix")
        outlet.send([make_record()])
        outlet.close()
    assert receiver.posts[0].path == "/prefix/v1/logs"


def test_text_that_protobuf_has_no_bytes_for_is_escaped() -> None:
    record = make_record()
    body = {**record.body, "title": "a\udcffb"}
    with http_receiver() as receiver:
        outlet = outlet_to(f"otlp+http://127.0.0.1:{receiver.port}")
        outlet.send([type(record)(True, record.line, body)])
        outlet.close()
    (got,) = requests(receiver)
    log = got.resource_logs[0].scope_logs[0].log_records[0]
    assert log.body.string_value == "a\\udcffb: /usr/bin/dash"
    assert isinstance(log.attributes[0], KeyValue)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "detector.sinks.otlp_records", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1.logs_service_pb2", None)
    with pytest.raises(UsageError, match="needs the package `opentelemetry-proto`"):
        outlet_to("otlp+http://127.0.0.1:4318")
