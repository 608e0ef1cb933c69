"""Answers as AdmissionReview v1 has them: whole, short enough, and free of what others chose."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ethogram.contracts.escape import printable
from ethogram.webhook.breaches import Mode
from ethogram.webhook.requests import API, KIND
from ethogram.webhook.review import Decision, Ruling

__all__ = ["decided", "patched", "refused"]

# An API server cuts warnings beyond this, and drops them beyond 4096 bytes together.
_WARNING = 256
_WARNINGS_BYTES = 4000
_MESSAGES = 8
_NOTE = 8000
_FORBIDDEN, _BAD_REQUEST = 403, 400


def decided(uid: str, decision: Decision) -> dict[str, Any]:
    """Return the answer to the request *uid* that *decision* is."""
    response: dict[str, Any] = {"uid": uid, "allowed": decision.is_allowed}
    denied = decision.at("enforce")
    if not decision.is_allowed:
        response["status"] = {
            "code": _FORBIDDEN,
            "reason": "Forbidden",
            "message": _refusal(denied, decision),
        }
    if warned := _warnings(decision.at("warn")):
        response["warnings"] = warned
    if notes := _notes(decision):
        response["auditAnnotations"] = notes
    return _review(response)


def refused(uid: str, message: str) -> dict[str, Any]:
    """Return the refusal of the request *uid*, which says nonsense."""
    status = {"code": _BAD_REQUEST, "reason": "BadRequest", "message": printable(message)}
    return _review({"uid": uid, "allowed": False, "status": status})


def patched(uid: str, patch: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the answer to the request *uid* that makes the changes in *patch*, if any."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if patch:
        text = json.dumps(list(patch), ensure_ascii=True, separators=(",", ":"))
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(text.encode()).decode()
        paths = " ".join(str(one["path"]) for one in patch)
        response["auditAnnotations"] = {"seccomp-added": _cut(paths, _NOTE)}
    return _review(response)


def _review(response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": KIND, "response": response}


def _refusal(denied: Sequence[Ruling], decision: Decision) -> str:
    shown = [printable(one.breach.message) for one in denied[:_MESSAGES]]
    if len(denied) > _MESSAGES:
        shown.append(f"and {len(denied) - _MESSAGES} more")
    whose = decision.whose
    name = printable(f"{whose.kind} {whose.namespace}/{whose.name}")
    return f"ethogram refuses {name}: " + " | ".join(shown)


def _warnings(warned: Sequence[Ruling]) -> list[str]:
    texts: list[str] = []
    left = _WARNINGS_BYTES
    for number, one in enumerate(warned):
        text = _cut(f"ethogram: {printable(one.breach.message)}", _WARNING)
        left -= len(text.encode("utf-8", "replace"))
        if left < _WARNING and number < len(warned) - 1:
            texts.append(f"ethogram: and {len(warned) - number} more")
            break
        texts.append(text)
    return texts


def _notes(decision: Decision) -> dict[str, str]:
    modes: tuple[Mode, ...] = ("audit", "warn", "enforce")
    notes: dict[str, str] = {
        mode: _cut(" | ".join(printable(one.breach.message) for one in decision.at(mode)), _NOTE)
        for mode in modes
    }
    exempt = [one for one in decision.rulings if one.exemption is not None]
    notes["exempt"] = _cut(
        " | ".join(
            printable(f"{one.breach.rule} until {one.exemption.expires} by {one.exemption.owner}")
            for one in exempt
            if one.exemption is not None
        ),
        _NOTE,
    )
    return {name: text for name, text in notes.items() if text}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
