"""Findings as log records of OpenTelemetry; needs the package `opentelemetry-proto`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from detector.sinks.protocol import Record, Sender

__all__ = ["rejected", "request"]

EVENT_NAME = "runtime.finding"
# SeverityNumber of the log data model: INFO, INFO3, WARN, ERROR, FATAL.
_NUMBERS = {"info": 9, "low": 11, "medium": 13, "high": 17, "critical": 21}
# Kinds that the semantic conventions have a name for: `k8s.deployment.name`.
_KINDS = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"}
)


def request(records: Sequence[Record], sender: Sender, *, now: datetime) -> bytes:
    """Return *records* as one request; those of one workload that follow each other share it."""
    made = ExportLogsServiceRequest()
    for resource, group in groupby(records, lambda record: _resource(record.body, sender)):
        logs = made.resource_logs.add()
        logs.resource.attributes.extend(_pairs(dict(resource)))
        scope = logs.scope_logs.add()
        scope.scope.name, scope.scope.version = "ethogram", sender.version
        scope.log_records.extend(_log_record(record, now) for record in group)
    return made.SerializeToString()


def _resource(body: Mapping[str, Any], sender: Sender) -> tuple[tuple[str, str], ...]:
    workload, instance = body["workload"], body.get("instance") or {}
    kind = workload["kind"]
    is_cluster = kind in _KINDS
    told = {
        "service.name": "ethogram",
        "host.name": sender.host,
        "k8s.cluster.name": workload.get("cluster") or sender.cluster,
        "k8s.namespace.name": workload.get("namespace"),
        f"k8s.{kind.lower()}.name" if is_cluster else "ethogram.workload.name": workload["name"],
        "k8s.container.name" if is_cluster else "container.name": workload.get("container"),
        "ethogram.workload.kind": kind,
        "container.id": body.get("container_id"),
        "container.image.name": workload.get("image"),
        "oci.manifest.digest": workload.get("image_digest"),
        "container.runtime": instance.get("runtime"),
        "k8s.pod.uid": instance.get("pod_uid"),
    }
    return tuple((name, value) for name, value in told.items() if value)


def _log_record(record: Record, now: datetime) -> LogRecord:
    return (_event_record if record.is_event else _finding_record)(record, now)


def _finding_record(record: Record, now: datetime) -> LogRecord:
    body = record.body
    evidence = body["evidence"]
    attributes = {
        **_of_process(body),
        **_of_peer(body),
        "file.path": (body.get("file") or {}).get("path"),
        **_of_question(body),
        "ethogram.fingerprint": body["fingerprint"],
        "ethogram.incident": body.get("incident"),
        "ethogram.is_new": record.is_new,
        "ethogram.layer": body["layer"],
        "ethogram.rule": body["rule"],
        "ethogram.reason": body["reason"],
        "ethogram.dimension": evidence["dimension"],
        "ethogram.observed": evidence["observed"],
        "ethogram.expected": evidence.get("expected"),
        "ethogram.attack": [one["technique"] for one in body["attack"]],
        "ethogram.workload.state": body["workload_state"],
        "ethogram.baseline": body.get("baseline"),
        "ethogram.count": body["count"],
        "ethogram.first_seen": body["first_seen"],
        "ethogram.last_seen": body["last_seen"],
    }
    return LogRecord(
        time_unix_nano=_nanoseconds(datetime.fromisoformat(body["time"])),
        observed_time_unix_nano=_nanoseconds(now),
        severity_number=_NUMBERS[body["severity"]],  # type: ignore[arg-type]  # an enum's number
        severity_text=body["severity"],
        body=_value(f"{body['title']}: {evidence['observed']}"),
        attributes=_pairs(attributes),
        event_name=EVENT_NAME,
    )


def _event_record(record: Record, now: datetime) -> LogRecord:
    body = record.body
    attributes = {
        **_of_process(body),
        **_of_peer(body),
        **_of_question(body),
        "file.path": (body.get("file") or {}).get("path"),
        "ethogram.event.id": body["id"],
        "ethogram.event.activity": body["activity"],
        "ethogram.errno": body.get("errno"),
        "ethogram.count": body.get("count"),
        "ethogram.sent_bytes": body.get("tx_bytes"),
        "ethogram.received_bytes": body.get("rx_bytes"),
        "ethogram.first_seen": body.get("first_seen"),
        "ethogram.last_seen": body.get("last_seen"),
    }
    exe = (body.get("process") or {}).get("exe", "?")
    return LogRecord(
        time_unix_nano=_nanoseconds(datetime.fromisoformat(body["time"])),
        observed_time_unix_nano=_nanoseconds(now),
        severity_number=_NUMBERS["info"],  # type: ignore[arg-type]  # an enum's number
        severity_text="info",
        body=_value(f"{body['activity']}: {exe}"),
        attributes=_pairs(attributes),
        event_name=f"runtime.{body['kind']}",
    )


def _of_process(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the process by the names of the semantic conventions, and by ours where they end."""
    process = body.get("process") or {}
    entry, ancestry = process.get("entry") or {}, process.get("ancestry") or ()
    told = {
        "process.pid": process.get("pid"),
        "process.vpid": process.get("ns_pid"),
        "process.parent_pid": ancestry[0].get("pid") if ancestry else None,
        "process.executable.path": process.get("exe"),
        "process.command_args": process.get("argv"),
        "process.working_directory": process.get("cwd"),
        "process.creation.time": process.get("started"),
        "process.exit.code": process.get("exit_code"),
        "process.interactive": process.get("has_tty"),
        "process.real_user.id": process.get("uid"),
        "process.user.id": process.get("euid"),
        "process.session_leader.pid": process.get("sid"),
        "ethogram.process.exec_id": process.get("exec_id"),
        "ethogram.process.ancestry": [one["exe"] for one in ancestry],
        "ethogram.process.entry.type": entry.get("type"),
        "ethogram.process.entry.exec_id": entry.get("exec_id"),
        "ethogram.process.login_user.id": process.get("loginuid"),
        "ethogram.process.login_session.id": process.get("sessionid"),
        "ethogram.process.candidates": process.get("candidates"),
        "ethogram.container_root.exec_id": (body.get("container_root") or {}).get("exec_id"),
    }
    return {name: value for name, value in told.items() if value is not None}


def _of_peer(body: Mapping[str, Any]) -> dict[str, Any]:
    peer = body.get("peer") or {}
    return {
        "network.transport": peer.get("protocol"),
        "network.peer.address": peer.get("address") or peer.get("unix_path"),
        "network.peer.port": peer.get("port"),
        "network.local.address": peer.get("local_address"),
        "network.local.port": peer.get("local_port"),
        "ethogram.peer.direction": peer.get("direction"),
        "ethogram.peer.name": peer.get("name"),
        "ethogram.peer.workload": peer.get("workload"),
    }


def _of_question(body: Mapping[str, Any]) -> dict[str, Any]:
    told = body.get("dns") or {}
    return {"dns.question.name": told.get("name"), "dns.answers": told.get("answers")}


def _nanoseconds(time: datetime) -> int:
    """Return *time* since 1970, to the microsecond, without a float in between."""
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000


def _pairs(told: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(key=name, value=_value(value))
        for name, value in told.items()
        if value is not None and value != []
    ]


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
        case _:
            # Protobuf's text is UTF-8, which has no lone surrogates.
            text = str(value).encode("utf-8", "backslashreplace").decode()
            return AnyValue(string_value=text)


def rejected(answer: bytes) -> int:
    """Return how many log records *answer* says were rejected; 0 where it says nothing."""
    try:
        return ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records
    except DecodeError:
        return 0  # whatever a proxy says of what it took
