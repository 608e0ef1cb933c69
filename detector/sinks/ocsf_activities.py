"""Events as events of OCSF 1.8: Process Activity (1007), Network Activity (4001), DNS (4003)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from detector.sinks.ocsf_objects import (
    answers,
    container,
    ends,
    entity,
    milliseconds,
    process,
    query,
    unmapped_of,
)
from detector.sinks.protocol import Record, Sender

__all__ = ["activity_event"]

_INFORMATIONAL = 1
_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_OTHER = 99
# Class, its name, activity and its name.
_PROCESS, _NETWORK, _DNS = 1007, 4001, 4003
_CATEGORIES: Mapping[int, tuple[int, str, str]] = MappingProxyType(
    {
        _PROCESS: (1, "System Activity", "Process Activity"),
        _NETWORK: (4, "Network Activity", "Network Activity"),
        _DNS: (4, "Network Activity", "DNS Activity"),
    }
)
_ACTIVITIES: Mapping[str, tuple[int, int, str]] = MappingProxyType(
    {
        "present": (_PROCESS, _OTHER, "Present"),
        "exec": (_PROCESS, 1, "Launch"),
        "exec_failed": (_PROCESS, 1, "Launch"),
        "fork": (_PROCESS, 1, "Launch"),
        "exit": (_PROCESS, 2, "Terminate"),
        "connect": (_NETWORK, 1, "Open"),
        "accept": (_NETWORK, 1, "Open"),
        "listen": (_NETWORK, 7, "Listen"),
        "bind": (_NETWORK, _OTHER, "Bind"),
        "traffic": (_NETWORK, 6, "Traffic"),
        "dns": (_DNS, 6, "Traffic"),
    }
)
_LAUNCHES: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"exec": (3, "Exec"), "exec_failed": (3, "Exec"), "fork": (2, "Fork")}
)
_RCODES: Mapping[int, str] = MappingProxyType(
    {0: "NoError", 1: "FormError", 2: "ServError", 3: "NXDomain", 4: "NotImp", 5: "Refused"}
)


def activity_event(record: Record, sender: Sender) -> dict[str, Any]:
    """Return *record*, an event, as OCSF has it; what it has no place for is in `unmapped`."""
    body = record.body
    number, activity, name = _ACTIVITIES[body["activity"]]
    category, category_name, class_name = _CATEGORIES[number]
    status_id, status = _FAILURE if body["activity"] == "exec_failed" else _SUCCESS
    made: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": name,
        "category_uid": category,
        "category_name": category_name,
        "class_uid": number,
        "class_name": class_name,
        "type_uid": number * 100 + activity,
        "type_name": f"{class_name}: {name}",
        "time": milliseconds(body["time"]),
        "severity_id": _INFORMATIONAL,
        "severity": "Informational",
        "status_id": status_id,
        "status": status,
        "metadata": _metadata(body, sender),
        "device": {"hostname": sender.host, "type_id": 0, "type": "Unknown"},
        "unmapped": _unmapped(body),
    }
    for field, source in (("start_time", "first_seen"), ("end_time", "last_seen")):
        if body.get(source):
            made[field] = milliseconds(body[source])
    if body.get("count"):
        made["count"] = body["count"]
    parts = {_PROCESS: _of_process, _NETWORK: _of_network, _DNS: _of_dns}[number](body)
    if number != _PROCESS and not parts.keys() & {"src_endpoint", "dst_endpoint"}:
        parts["src_endpoint"] = {"hostname": sender.host}  # a socket without an address
    return made | {key: value for key, value in parts.items() if value is not None}


def _metadata(body: Mapping[str, Any], sender: Sender) -> dict[str, Any]:
    return {
        "version": "1.8.0",
        "product": {"name": "ethogram", "vendor_name": "ethogram", "version": sender.version},
        "profiles": ["container", "host"],
        "uid": body["id"],
        "event_code": body["activity"],
    }


def _whole_process(body: Mapping[str, Any]) -> dict[str, Any]:
    made = process(body)
    if made and (inside := container(body)):
        made["container"] = inside
    return made


def _of_process(body: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"process": _whole_process(body)}
    ancestry = body["process"].get("ancestry") or ()
    actor = entity(ancestry[0]) if ancestry else entity(body["process"])
    made["actor"] = {"process": actor}
    if body["activity"] in _LAUNCHES:
        made["launch_type_id"], made["launch_type"] = _LAUNCHES[body["activity"]]
    if body["activity"] == "exit":
        made["exit_code"] = body["process"].get("exit_code")
    if body.get("errno"):
        made["status_code"] = str(body["errno"])
    return made


def _of_network(body: Mapping[str, Any]) -> dict[str, Any]:
    made = ends(body["peer"])
    traffic = {"bytes_in": body.get("rx_bytes"), "bytes_out": body.get("tx_bytes")}
    if known := {name: value for name, value in traffic.items() if value is not None}:
        made["traffic"] = known
    return made | _actor(body)


def _of_dns(body: Mapping[str, Any]) -> dict[str, Any]:
    told = body["dns"]
    made: dict[str, Any] = {
        "query": query(told),
        "rcode_id": told["rcode"] if told["rcode"] in _RCODES else _OTHER,
        "rcode": _RCODES.get(told["rcode"], str(told["rcode"])),
        "answers": answers(told),
    }
    if told.get("resolver"):
        made["dst_endpoint"] = {"ip": told["resolver"], "port": 53}
    return made | _actor(body)


def _actor(body: Mapping[str, Any]) -> dict[str, Any]:
    made = _whole_process(body)
    return {"actor": {"process": made}} if made else {}


def _unmapped(body: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "workload": body["workload"],
        "instance_key": body["instance_key"],
        "phase": body["phase"],
        **unmapped_of(body),
    }
    if body.get("container_id") and not body.get("process"):
        told["container_id"] = body["container_id"]
    return told
