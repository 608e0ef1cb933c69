"""An audit as documents: JSON and markdown; SARIF, OpenReports and OCSF by modules of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ethogram.cli.audit_patches import owner_patches
from ethogram.cli.audit_screen import grouped, summary_words
from ethogram.cli.markdown import code, comment, plain
from ethogram.contracts.strict_yaml import dump_yaml

if TYPE_CHECKING:
    from ethogram.posture.findings import PostureFinding, Report

__all__ = ["AUDIT_SCHEMA", "document_of"]

AUDIT_SCHEMA = "ethogram.audit/1"


def document_of(report: Report, kind: str, *, now: datetime) -> str:
    """Return *report* as a document of *kind*, made at *now*."""
    from ethogram.cli.audit_reports import ocsf, openreports
    from ethogram.cli.audit_sarif import sarif

    makers: Mapping[str, Callable[[], str]] = {
        "json": lambda: _json(report, now),
        "markdown": lambda: _markdown(report),
        "sarif": lambda: sarif(report),
        "openreports": lambda: openreports(report, now),
        "ocsf": lambda: ocsf(report, now),
    }
    return makers[kind]()


def _json(report: Report, now: datetime) -> str:
    from ethogram.posture.grades import NOT_JUDGED

    document = {
        "schema": AUDIT_SCHEMA,
        "time": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "level": report.level,
        "version": f"v{report.version[0]}.{report.version[1]}",
        "cis_benchmark": report.benchmark,
        "objects": report.objects,
        "workloads": report.workloads,
        "findings": [_finding(one) for one in report.findings],
        "unreadable": [{"place": one.place, "cause": one.cause} for one in report.unreadable],
        "notes": list(report.notes),
        "cis_not_judged": dict(NOT_JUDGED),
    }
    return json.dumps(document, indent=2, default=str) + "\n"


def _reference(one: Any) -> dict[str, str]:
    found = {"apiVersion": one.api_version, "kind": one.kind, "namespace": one.namespace,
             "name": one.name}  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _finding(one: PostureFinding) -> dict[str, Any]:
    made: dict[str, Any] = {
        "fingerprint": one.fingerprint,
        "check": one.check,
        "title": one.title,
        "severity": one.severity,
        "level": one.level,
        "message": one.message,
        "owner": _reference(one.owner),
        "found_in": _reference(one.found_in),
        "source": {"file": one.source.file, "document": one.source.document},
        "field": one.field,
        "value": one.value,
        "required": one.required,
        "cis": [{"version": version, "id": identity} for version, identity in one.cis],
        "compliance": [
            {"standard": tag.standard, "version": tag.version, "requirements": tag.requirements}
            for tag in one.tags
        ],
        "pods": one.pods,
        "nodes": one.nodes,
    }
    if one.service_account:
        made["service_account"] = one.service_account
        made["exposure"] = {
            "host_ports": one.exposure.host_ports,
            "services": one.exposure.services,
        }
    if one.container:
        made["container"] = {
            "name": one.container,
            "kind": one.container_kind,
            "image": one.image,
            "capabilities": one.capabilities,
        }
        if one.image_digests:
            made["container"]["image_digests"] = one.image_digests
    for name, moment in (("first_seen", one.first_seen), ("last_seen", one.last_seen)):
        if moment is not None:
            made[name] = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    if one.evidence is not None:
        seen = one.evidence
        made["evidence"] = {
            "verdict": seen.verdict, "words": seen.words, "rules": seen.rules,
            "seconds": seen.seconds, "instances": seen.instances, "windows": seen.windows,
            "state": seen.state,
        }  # fmt: skip
    if one.patch is not None:
        made["patch"] = one.patch
    for name, exempted in (("exemption", one.exemption), ("expired_exemption", one.expired)):
        if exempted is not None:
            made[name] = {
                "owner": exempted.owner, "reason": exempted.reason, "expires": exempted.expires,
                "source": exempted.source,
            }  # fmt: skip
    return made


def _markdown(report: Report) -> str:
    """Return a comment for a pull request, cut where it would be too long for one."""
    lines = [line for section in _sections(report) for line in section.splitlines()]
    return comment(f"### {plain(summary_words(report))}\n", lines)


def _sections(report: Report) -> Iterator[str]:
    from ethogram.posture.findings import shown_value

    patches = owner_patches(report)
    for owner, some in grouped(report).items():
        yield f"\n#### {code(str(owner))}\n"
        for one in some:
            ids = dict(one.cis)
            cis = f" (CIS {ids[report.benchmark]})" if report.benchmark in ids else ""
            value = "not set" if one.value is None else code(shown_value(one.value))
            told = (
                f"- **{one.severity}** {plain(one.title)}{cis}: {code(one.field)} is {value};"
                f" required: {plain(one.required)}"
            )
            if one.evidence is not None:
                told += f". **{one.evidence.verdict}**: {plain(one.evidence.words)}"
            if one.exemption is not None:
                told += f". Exempt until {one.exemption.expires}: {plain(one.exemption.reason)}"
            yield told
        if owner in patches:
            text = dump_yaml(patches[owner][0])
            fence = "`" * max(3, _longest_run(text) + 1)
            yield "\n<details><summary>Patch</summary>\n"
            yield f"{fence}yaml\n{text}{fence}\n</details>"
    for each in report.unreadable:
        yield f"- could not read {code(each.place)}: {plain(each.cause)}"


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
