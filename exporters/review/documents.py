"""Policy files as documents, and their parts; what stands in them may be anybody's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from ethogram.contracts.escape import escape
from ethogram.contracts.strict_json import load_json
from ethogram.contracts.strict_yaml import dump_yaml, load_yaml_documents
from ethogram.errors import ExportError
from exporters.review.protocol import Documents

__all__ = [
    "RELAXED_ANNOTATION",
    "annotated",
    "annotated_with",
    "changed",
    "dump",
    "kinds",
    "listed",
    "load",
    "part",
]

RELAXED_ANNOTATION = "ethogram.dev/relaxed"
_LIMIT_BYTES = 16 << 20
_TEXT = ".conf"


def load(content: bytes, path: str = "") -> Documents:
    """Return the documents of a policy file, JSON or YAML; of a `.conf` its text, as `text`.

    `ExportError` says what is wrong: no objects, a key that stands twice, too large, too deep.
    """
    if len(content) > _LIMIT_BYTES:
        raise ExportError(f"it is no policy: larger than {_LIMIT_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
        if path.endswith(_TEXT):
            return [{"text": text}]
        if text.lstrip()[:1] in ("{", "["):
            found = [load_json(text)]
        else:
            found = [one for one in load_yaml_documents(text) if one is not None]
    except UnicodeDecodeError as error:
        raise ExportError("it is no policy: it is not UTF-8") from error
    except RecursionError as error:
        raise ExportError("it is no policy: nested too deeply") from error
    except ValueError as error:
        raise ExportError(f"it is no policy: {escape(str(error))}") from error
    if not found or not all(isinstance(one, dict) for one in found):
        raise ExportError("it is no policy: it holds no object")
    return found


def dump(documents: Sequence[Mapping[str, Any]], path: str) -> bytes:
    """Return *documents* as the file *path*, with equal bytes for equal documents."""
    if path.endswith(_TEXT):
        (document,) = documents
        return str(document["text"]).encode()
    if path.endswith(".json"):
        (document,) = documents
        return (json.dumps(document, indent=2) + "\n").encode()
    return "---\n".join(map(dump_yaml, documents)).encode()


def part(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping *key* of *document*, empty where there is none."""
    value = document.get(key)
    if not isinstance(value, dict | None):
        raise ExportError(f"the policy is malformed: `{key}` is no mapping")
    return value or {}


def listed(document: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list *key* of *document*, empty where there is none."""
    value = document.get(key)
    if not isinstance(value, list | None):
        raise ExportError(f"the policy is malformed: `{key}` is no list")
    return value or []


def kinds(documents: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the kinds of Kubernetes objects among *documents*."""
    return {str(one.get("kind", "")) for one in documents}


def changed(document: Mapping[str, Any], key: str, **values: Any) -> dict[str, Any]:
    """Return a copy of *document* with *values* in its mapping *key*."""
    copy = deepcopy(dict(document))
    copy[key] = {**part(copy, key), **values}
    return copy


def annotated(document: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return a copy of the Kubernetes object *document* that says why it is relaxed."""
    notes = part(part(document, "metadata"), "annotations")
    return annotated_with(document, {**notes, RELAXED_ANNOTATION: reason})


def annotated_with(document: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the Kubernetes object *document* with just the annotations *notes*."""
    return changed(document, "metadata", annotations=dict(notes))
