"""An audit for other tools: OpenReports objects, and Compliance Findings (2003) of OCSF 1.8."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ethogram import __version__
from ethogram.cli.audit_screen import grouped
from ethogram.contracts.escape import printable
from ethogram.contracts.strict_yaml import dump_yaml
from exporters.kubernetes import kind_part, object_name

if TYPE_CHECKING:
    from ethogram.posture.findings import PostureFinding, Report
    from ethogram.posture.objects import Reference

__all__ = ["ocsf", "openreports"]

_OCSF_VERSION = "1.8.0"
_CATEGORY, _CLASS, _CREATE = 2, 2003, 1
_FAILED = 3
_SEVERITIES = {
    "info": (1, "Informational"), "low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"),
    "critical": (5, "Critical"),
}  # fmt: skip
# etcd takes objects of 1.5 MiB.
_MOST_RESULTS = 500


def openreports(report: Report, now: datetime) -> str:
    """Return one Report for each owner, a ClusterReport for those in no namespace, as YAML."""
    documents = [_report(owner, some, now) for owner, some in grouped(report).items()]
    return "".join(f"---\n{dump_yaml(one)}" for one in documents)


def _report(owner: Reference, some: list[PostureFinding], now: datetime) -> dict[str, Any]:
    results = [_result(one, now) for one in some[:_MOST_RESULTS]]
    counts = Counter(one["result"] for one in results)
    # Owners whose names differ by a letter that Kubernetes refuses have reports of their own.
    name = object_name("ethogram", kind_part(owner.kind), owner.name)
    metadata: dict[str, Any] = {"name": name}
    if owner.namespace:
        metadata["namespace"] = owner.namespace
    metadata["labels"] = {"app.kubernetes.io/managed-by": "ethogram"}
    if len(some) > _MOST_RESULTS:
        metadata["annotations"] = {"ethogram.dev/left-out": str(len(some) - _MOST_RESULTS)}
    return {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report" if owner.namespace else "ClusterReport",
        "metadata": metadata,
        "source": "ethogram",
        "scope": _resource(owner),
        "summary": {name: counts[name] for name in ("pass", "fail", "warn", "error", "skip")},
        "results": results,
    }


def _resource(owner: Reference) -> dict[str, Any]:
    found = {"apiVersion": owner.api_version, "kind": owner.kind, "namespace": owner.namespace,
             "name": owner.name}  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _result(one: PostureFinding, now: datetime) -> dict[str, Any]:
    properties = {"field": one.field, "fingerprint": one.fingerprint}
    properties |= {f"cis-{version}": identity for version, identity in one.cis}
    if one.first_seen is not None:
        properties["first-seen"] = one.first_seen.isoformat()
    if one.evidence is not None:
        properties |= {"used": one.evidence.verdict, "evidence": printable(one.evidence.words)}
    if one.exemption is not None:
        told = one.exemption
        properties |= {"exemption": printable(f"{told.owner}, {told.expires}: {told.reason}")}
    failed = "fail" if one.rank > 1 else "warn"
    return {
        "source": "ethogram",
        "policy": f"pod-security-{one.level}" if one.level else "ethogram-audit",
        "rule": one.check,
        "category": "Pod Security Standards" if one.level else "Kubernetes posture",
        "severity": one.severity,
        "result": "skip" if one.exemption is not None else failed,
        "scored": one.exemption is None,
        "timestamp": {"seconds": int(now.timestamp()), "nanos": 0},
        "message": printable(one.message),
        "resources": [_resource(one.found_in)],
        "properties": properties,
    }


def ocsf(report: Report, now: datetime) -> str:
    """Return one Compliance Finding a line."""
    lines = [json.dumps(_compliance_finding(one, report, now)) for one in report.findings]
    return "".join(f"{line}\n" for line in lines)


def _compliance_finding(one: PostureFinding, report: Report, now: datetime) -> dict[str, Any]:
    severity_id, severity = _SEVERITIES[one.severity]
    status_id, status = (3, "Suppressed") if one.exemption else (1, "New")
    message = printable(one.message)
    made: dict[str, Any] = {
        "activity_id": _CREATE,
        "activity_name": "Create",
        "category_uid": _CATEGORY,
        "category_name": "Findings",
        "class_uid": _CLASS,
        "class_name": "Compliance Finding",
        "type_uid": _CLASS * 100 + _CREATE,
        "type_name": "Compliance Finding: Create",
        "time": int(now.timestamp() * 1000),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "message": message,
        "metadata": {
            "version": _OCSF_VERSION,
            "product": {"name": "ethogram", "vendor_name": "ethogram", "version": __version__},
            "event_code": one.check,
            "correlation_uid": one.fingerprint,
        },
        "finding_info": {
            "uid": one.fingerprint, "title": one.title, "desc": message, "types": ["posture"],
        },
        "compliance": _compliance(one, report),
        "resources": [_ocsf_resource(one)],
        "unmapped": _unmapped(one),
    }  # fmt: skip
    times = {"first_seen_time": one.first_seen, "last_seen_time": one.last_seen}
    for name, moment in times.items():
        if moment is not None:
            made["finding_info"][name] = int(moment.timestamp() * 1000)
    if one.patch is not None:
        made["remediation"] = {"desc": dump_yaml(one.patch)}
    return made


def _compliance(one: PostureFinding, report: Report) -> dict[str, Any]:
    standards = [f"CIS Kubernetes Benchmark {version}" for version, _ in one.cis]
    standards += [f"{tag.standard} {tag.version}" for tag in one.tags]
    if one.level:
        version = f"v{report.version[0]}.{report.version[1]}"
        standards.insert(0, f"Kubernetes Pod Security Standards {version}")
    requirements = [f"CIS {version} {identity}" for version, identity in one.cis]
    requirements += [f"{tag.standard} {tag.version} {each}" for tag in one.tags
                     for each in tag.requirements]  # fmt: skip
    return {
        "control": one.check,
        "desc": printable(f"required: {one.required}"),
        "standards": standards or ["ethogram"],
        "requirements": requirements,
        "status_id": _FAILED,
        "status": "Fail",
        "status_detail": printable(one.evidence.words) if one.evidence else "no evidence was asked",
    }


def _ocsf_resource(one: PostureFinding) -> dict[str, Any]:
    owner = one.owner
    made = {"type": owner.kind, "name": printable(owner.name), "uid": printable(str(owner))}
    if owner.namespace:
        made["namespace"] = printable(owner.namespace)
    return made


def _unmapped(one: PostureFinding) -> dict[str, Any]:
    made: dict[str, Any] = {"field": one.field, "value": one.value, "pods": one.pods}
    if one.container:
        made["container"] = {"name": one.container, "kind": one.container_kind, "image": one.image,
                             "image_digests": one.image_digests}  # fmt: skip
    if one.evidence is not None:
        made["evidence"] = {"verdict": one.evidence.verdict, "words": one.evidence.words}
    if one.exemption is not None:
        told = one.exemption
        made["exemption"] = {"owner": told.owner, "reason": told.reason, "expires": told.expires}
    return made
