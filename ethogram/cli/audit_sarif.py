"""An audit as SARIF 2.1.0: each finding at the line of the manifest that it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ethogram import __version__
from ethogram.contracts.escape import printable
from ethogram.contracts.finding import SEVERITIES

if TYPE_CHECKING:
    from ethogram.posture.findings import PostureFinding, Report

__all__ = ["sarif"]

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "none"}


def sarif(report: Report) -> str:
    """Return *report* as SARIF; what was exempted is suppressed in it."""
    from ethogram.posture.audit import TITLES
    from ethogram.posture.grades import GRADES

    texts: dict[str, str | None] = {}
    checks = sorted({one.check for one in report.findings})
    driver = {
        "name": "ethogram",
        "version": __version__,
        "rules": [
            {
                "id": check,
                "shortDescription": {"text": TITLES[check]},
                "defaultConfiguration": {"level": _LEVELS[GRADES[check].severity]},
            }
            for check in checks
        ],
    }
    notices = [
        {"level": "error", "message": {"text": printable(f"{one.place}: {one.cause}")}}
        for one in report.unreadable
    ]
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, texts) for one in report.findings],
    }
    if notices:
        run["invocations"] = [{"executionSuccessful": False, "toolExecutionNotifications": notices}]
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(one: PostureFinding, texts: dict[str, str | None]) -> dict[str, Any]:
    text = f"{one.owner}: {one.message}"
    if one.evidence is not None:
        text += f". {one.evidence.verdict}: {one.evidence.words}"
    made: dict[str, Any] = {
        "ruleId": one.check,
        "level": _LEVELS[one.severity],
        "message": {"text": printable(text)},
        "locations": [_location(one, texts)],
        "partialFingerprints": {"ethogramAudit/v1": one.fingerprint},
        "rank": 100.0 * one.rank / (len(SEVERITIES) - 1),
        "properties": {
            "severity": one.severity,
            "tags": [f"CIS {version} {identity}" for version, identity in one.cis],
        },
    }
    if one.exemption is not None:
        why = f"{one.exemption.owner}, until {one.exemption.expires}: {one.exemption.reason}"
        made["suppressions"] = [{"kind": "external", "justification": printable(why)}]
    return made


def _location(one: PostureFinding, texts: dict[str, str | None]) -> dict[str, Any]:
    from ethogram.posture.manifests import line_of

    logical = {"fullyQualifiedName": printable(f"{one.found_in}.{one.field}"), "kind": "member"}
    made: dict[str, Any] = {"logicalLocations": [logical]}
    file = one.source.file
    if file not in texts:
        path = Path(file)
        is_file = file != "<standard input>" and path.is_file()
        texts[file] = path.read_text("utf-8-sig", "replace") if is_file else None
    if (text := texts[file]) is not None:
        uri = quote(file.removeprefix("./").replace("\\", "/"))
        made["physicalLocation"] = {
            "artifactLocation": {"uri": uri},
            "region": {"startLine": line_of(text, one.source, one.path)},
        }
    return made
