"""Findings as events of OCSF 1.8: class Detection Finding (2004)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from detector.sinks.ocsf_objects import (
    container,
    ends,
    file,
    milliseconds,
    process,
    query,
    unmapped_of,
)
from detector.sinks.protocol import Record, Sender

__all__ = ["OCSF_VERSION", "detection_finding"]

OCSF_VERSION = "1.8.0"
_CATEGORY, _CLASS = 2, 2004
_CREATE, _UPDATE = 1, 2
_NEW = 1
_SEVERITIES = {
    "info": (1, "Informational"), "low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"),
    "critical": (5, "Critical"),
}  # fmt: skip
# Kinds of analytic: an indicator is a rule, a deviation a look at behaviour, an anomaly statistics.
_ANALYTICS = {
    "indicator": (1, "Rule"), "deviation": (2, "Behavioral"), "anomaly": (3, "Statistical"),
}  # fmt: skip
_CONFIDENCES = {"low": (1, "Low"), "medium": (2, "Medium"), "high": (3, "High")}
_DEVICE_UNKNOWN = 0


def detection_finding(record: Record, sender: Sender) -> dict[str, Any]:
    """Return *record* as a Detection Finding; what it has no place for is in `unmapped`."""
    body = record.body
    activity, name = (_CREATE, "Create") if record.is_new else (_UPDATE, "Update")
    severity_id, severity = _SEVERITIES[body["severity"]]
    made = {
        "activity_id": activity,
        "activity_name": name,
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Detection Finding",
        "type_uid": _CLASS * 100 + activity,
        "type_name": f"Detection Finding: {name}",
        "time": milliseconds(body["time"]),
        "start_time": milliseconds(body["first_seen"]),
        "end_time": milliseconds(body["last_seen"]),
        "count": body["count"],
        "severity_id": severity_id,
        "severity": severity,
        "status_id": _NEW,
        "status": "New",
        "is_alert": True,
        "message": f"{body['title']}: {body['evidence']['observed']}",
        "metadata": _metadata(body, sender),
        "finding_info": _finding_info(body),
        "evidences": [_evidence(body)],
        "resources": [_resource(body, sender)],
        "device": {"hostname": sender.host, "type_id": _DEVICE_UNKNOWN, "type": "Unknown"},
        "unmapped": _unmapped(body),
    }
    if confidence := body.get("confidence"):
        made["confidence_id"], made["confidence"] = _CONFIDENCES[confidence]
    if body["layer"] == "deviation":
        made["anomaly_analyses"] = [_analysis(body)]
    return made


def _metadata(body: Mapping[str, Any], sender: Sender) -> dict[str, Any]:
    told = f"{body['fingerprint']} {body['instance_key']} {body['last_seen']} {body['count']}"
    return {
        "version": OCSF_VERSION,
        "product": {"name": "ethogram", "vendor_name": "ethogram", "version": sender.version},
        "profiles": ["container", "host"],
        "uid": hashlib.sha256(told.encode()).hexdigest()[:32],
        "correlation_uid": body["fingerprint"],
        "event_code": body["rule"],
    }


def _finding_info(body: Mapping[str, Any]) -> dict[str, Any]:
    type_id, kind = _ANALYTICS[body["layer"]]
    made = {
        "uid": body["fingerprint"],
        "title": body["title"],
        "desc": body["reason"],
        "first_seen_time": milliseconds(body["first_seen"]),
        "last_seen_time": milliseconds(body["last_seen"]),
        "types": [body["layer"]],
        "analytic": {
            "uid": body["rule"], "name": body["title"], "type_id": type_id, "type": kind,
        },
        "attacks": [_attack(one) for one in body["attack"]],
    }  # fmt: skip
    tags = [_tag(one) for one in body.get("compliance", ())]
    if incident := body.get("incident"):
        tags.append({"name": "incident", "value": incident})
    if tags:
        made["tags"] = tags
    if related := body.get("related"):
        made["related_events"] = [
            {"uid": one, "type_uid": _CLASS * 100 + _CREATE, "type": "Detection Finding: Create"}
            for one in related
        ]
        made["related_events_count"] = len(related)
    return made


def _tag(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return requirements as a tag: an object of its own is for Compliance Findings alone."""
    return {"name": f"{one['standard']} {one['version']}", "values": list(one["requirements"])}


def _attack(one: Mapping[str, str]) -> dict[str, Any]:
    technique, is_sub, _ = one["technique"].partition(".")
    made: dict[str, Any] = {"version": one["version"], "technique": {"uid": technique}}
    if is_sub:
        made["sub_technique"] = {"uid": one["technique"]}
    return made


def _evidence(body: Mapping[str, Any]) -> dict[str, Any]:
    evidence = body["evidence"]
    made: dict[str, Any] = {
        "data": {"dimension": evidence["dimension"], "observed": evidence["observed"]},
        "container": container(body),
        "process": process(body),
        "file": file(body.get("file")),
        **ends(body.get("peer")),
    }
    if body.get("dns"):
        made["query"] = query(body["dns"])
    return {name: value for name, value in made.items() if value}


def _resource(body: Mapping[str, Any], sender: Sender) -> dict[str, Any]:
    workload = body["workload"]
    cluster = workload.get("cluster") or sender.cluster
    made = {
        "uid": body["instance_key"],
        "name": workload["name"],
        "type": workload["kind"],
        "namespace": workload.get("namespace"),
        "labels": [f"cluster: {cluster}"] if cluster else None,
    }
    return {name: value for name, value in made.items() if value}


def _analysis(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was seen beside what was learnt: what this object of OCSF is for."""
    evidence, workload = body["evidence"], body["workload"]
    made: dict[str, Any] = {
        "analysis_targets": [
            {"name": f"{workload['kind']}/{workload['name']}", "type": "workload"}
        ],
        "anomalies": [
            {
                "observation_parameter": evidence["dimension"],
                "observations": [{"value": evidence["observed"], "count": body["count"]}],
                "observed_pattern": "UNSEEN",
            }
        ],
    }
    if evidence.get("expected"):
        made["baselines"] = [
            {
                "observation_parameter": evidence["dimension"],
                "observations": [{"value": value} for value in evidence["expected"]],
            }
        ]
    return made


def _unmapped(body: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "state": body["state"],
        "workload_state": body["workload_state"],
        "phase": body["phase"],
        "baseline": body.get("baseline"),
        "p_value": body["evidence"].get("p_value"),
        **unmapped_of(body),
    }
    return {name: value for name, value in told.items() if value is not None}
