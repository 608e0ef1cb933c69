"""What a text of another kind is, so that a refusal can name it: a guess from how it begins."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["HEAD_CHARACTERS", "is_policy", "recognise"]

HEAD_CHARACTERS = 64 * 1024

_SCHEMAS = {
    "baseline": "a baseline",
    "map": "a map of environments",
    "overlay": "an overlay",
    "finding": "a file of findings",
    "incident": "a file of findings",
    "suppressions": "a file of suppressions",
    "exemptions": "a file of exemptions",
    "redaction": "a file of redaction rules",
    "webhook": "a configuration of the webhook",
    "confirmed": "a list of what nodes hold",
    "provenance": "the provenance of a policy",
    "recording": "the manifest of a recording",
    "show": "what `ethogram show --format json` printed",
}
# At the beginning of a line: YAML and JSON alike, with quotes or without.
_SCHEMA = re.compile(r"""^[{ \t]*["']?schema["']?[ \t]*:[ \t]*["']?ethogram\.([a-z]+)/""", re.M)
_KUBERNETES = re.compile(r"""["']?\bapiVersion["']?[ \t]*:""")
_ITEMS = re.compile(r"""["']?\bitems["']?[ \t]*:""")
_OTHERS = (
    (re.compile(r'"baseline_sha256"[ \t]*:'), "the index of an export"),
    (re.compile(r'"defaultAction"[ \t]*:'), "a seccomp profile"),
)


def recognise(text: str) -> str | None:
    """Return what *text* probably is, such as `a baseline`; None where nothing tells.

    Only its first `HEAD_CHARACTERS` are looked at, and it need not be complete.
    """
    head = text[:HEAD_CHARACTERS]
    if (schema := _SCHEMA.search(head)) and (words := _SCHEMAS.get(schema[1])):
        return words
    if _KUBERNETES.search(head):
        return "a list of Kubernetes objects" if _ITEMS.search(head) else "a Kubernetes object"
    return next((words for sign, words in _OTHERS if sign.search(head)), None)


def is_policy(path: Path) -> bool:
    """Return whether the file *path* is probably a policy, ours or another's."""
    with path.open("rb") as file:
        head = file.read(HEAD_CHARACTERS).decode("utf-8", "replace")
    return path.suffix == ".conf" or recognise(head) in ("a Kubernetes object", "a seccomp profile")
