"""What policies would have denied, as JSON: schema `ethogram.verify/1`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ethogram.cli.verify_screen import time_of
from ethogram.contracts.escape import escape

if TYPE_CHECKING:
    from ethogram.contracts.remote import RecordingUrl
    from exporters.replay.processes import Example
    from exporters.replay.verdicts import Open, Refusal, Report

__all__ = ["SCHEMA", "print_document"]

SCHEMA = "ethogram.verify/1"


def print_document(
    report: Report,
    policies: Sequence[Path],
    recordings: Sequence[Path | RecordingUrl],
    *,
    unread: Sequence[str],
    idle: Sequence[str],
) -> None:
    """Print the report; equal reports give the same bytes.

    *unread* are files of kinds that nobody replays, *idle* those that pick nothing recorded.
    """
    document = {
        "schema": SCHEMA,
        "policies": [escape(str(path)) for path in policies],
        "recordings": [escape(str(place)) for place in recordings],
        "denied": [_refusal(one) for one in report.of("denied")],
        "logged": [_refusal(one) for one in report.of("logged")],
        "not_judged": [_open(one) for one in _sorted(report)],
        "not_replayed": [escape(path) for path in unread],
        "for_nothing_recorded": [escape(path) for path in idle],
        "without_policy": sorted(report.uncovered),
        "judged": [
            {"target": target, "policy": policy, "what": what, "count": number}
            for (target, policy, what), number in sorted(report.judged.items(), key=str)
        ],
    }
    print(json.dumps(document, indent=2))


def _sorted(report: Report) -> list[Open]:
    found = report.left_open.values()
    return sorted(found, key=lambda one: (str(one.workload), one.reason, str(one.policy)))


def _refusal(one: Refusal) -> dict[str, Any]:
    return {
        "workload_key": str(one.workload),
        "target": one.target,
        "policy": escape(one.policy),
        "rule": one.rule,
        "answer": one.answer,
        "count": one.count,
        "example": _example(one.recording, one.example) if one.example else None,
        "relaxation": {
            "words": one.relaxation.words,
            "patch": [dict(step) for step in one.relaxation.patch],
        },
    }


def _example(recording: str, one: Example) -> dict[str, Any]:
    return {
        "recording": escape(recording),
        "time": time_of(one),
        "instance": escape(one.instance),
        "phase": one.phase,
        "candidates": one.candidates,
        "tree": [
            {
                "exec_id": process.exec_id,
                "exe": process.exe,
                "argv": list(process.argv),
                "pid": process.pid,
            }
            for process in one.tree
        ],
    }


def _open(one: Open) -> dict[str, Any]:
    return {
        "workload_key": None if one.workload is None else str(one.workload),
        "policy": one.policy and escape(one.policy),
        "recording": escape(one.recording),
        "reason": one.reason,
        "count": one.count,
    }
