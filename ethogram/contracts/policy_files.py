"""Reads policy files, ours and others': JSON, YAML of several documents, drop-ins of systemd.

What stands in them may be anybody's: bounded in size and depth, no anchors, no double keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethogram.contracts.escape import escape
from ethogram.contracts.exports import INDEX_NAME, IndexEntry, read_index
from ethogram.contracts.plain_file import open_plain
from ethogram.contracts.strict_json import load_json
from ethogram.contracts.strict_yaml import StrictYamlError, load_yaml_documents
from ethogram.errors import ExportError, UsageError

__all__ = ["PolicyDocument", "read_policies", "read_policy"]

_LIMIT_BYTES = 16 * 1024 * 1024
_MOST_DOCUMENTS = 100_000
# Below the directory of an export lie namespace, workload and file.
_LEVELS = 3
_TEXT = frozenset({".conf", ".service"})
_OUR_SCHEMA = "ethogram."


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """One document of the file *path*; *entry* is what the export's index says of the file.

    Of a file that is neither JSON nor YAML *content* is `{"text": ...}`.
    """

    path: str
    content: Mapping[str, Any]
    entry: IndexEntry | None = None


def read_policies(path: Path) -> list[PolicyDocument]:
    """Return the documents of *path*, a policy file or the directory of an export.

    What we write beside policies (reasons, the index) is left out. `UsageError` and `ExportError`
    name the file and what is wrong with it.
    """
    if not path.is_dir():
        return list(read_policy(path, _entry_of(path)))
    entries = read_index(path)
    if not entries:
        raise UsageError(
            f"`{path}` has no `{INDEX_NAME}`: it is not the directory of an export",
            hint="name the policy files themselves",
        )
    return [
        document
        for entry in entries
        if not entry.target.endswith(".provenance")
        for document in read_policy(path / entry.path, entry)
    ]


def read_policy(path: Path, entry: IndexEntry | None = None) -> Iterator[PolicyDocument]:
    """Yield the documents of the file *path*; lists of Kubernetes objects as their items."""
    text = _text_of(path)
    if path.suffix in _TEXT:
        yield PolicyDocument(str(path), {"text": text}, entry)
        return
    for content in _parsed(path, text):
        if not isinstance(content, Mapping):
            raise ExportError(f"`{escape(str(path))}` is no policy: it holds no object")
        if not str(content.get("schema", "")).startswith(_OUR_SCHEMA):
            yield PolicyDocument(str(path), content, entry)


def _entry_of(path: Path) -> IndexEntry | None:
    """Return what the index above the file *path* says of it, if there is one."""
    absolute = path.absolute()
    for directory in list(absolute.parents)[:_LEVELS]:
        if (directory / INDEX_NAME).is_file():
            relative = absolute.relative_to(directory).as_posix()
            return next((one for one in read_index(directory) if one.path == relative), None)
    return None


def _text_of(path: Path) -> str:
    shown = escape(str(path))
    try:
        with open_plain(path) as file:
            data = file.read(_LIMIT_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"there is no `{shown}`") from error
    except OSError as error:
        raise UsageError(f"`{shown}` cannot be read: {error.strerror}") from error
    if len(data) > _LIMIT_BYTES:
        raise ExportError(f"`{shown}` is no policy: larger than {_LIMIT_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExportError(f"`{shown}` is no policy: it is not UTF-8") from error


def _parsed(path: Path, text: str) -> Iterator[Any]:
    shown = escape(str(path))
    try:
        if text.lstrip()[:1] in ("{", "["):
            documents = [load_json(text)]
        else:
            documents = load_yaml_documents(text)
    except (ValueError, RecursionError) as error:
        kind = "YAML" if isinstance(error, StrictYamlError) else "JSON"
        reason = "nested too deeply" if isinstance(error, RecursionError) else escape(str(error))
        raise ExportError(f"`{shown}` is not {kind} of a policy: {reason}") from error
    items = [item for document in documents for item in _items(document)]
    if len(items) > _MOST_DOCUMENTS:
        raise ExportError(f"`{shown}` holds more than {_MOST_DOCUMENTS:,} documents")
    yield from items


def _items(document: Any) -> list[Any]:
    if document is None:
        return []
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        items = document.get("items")
        return items if isinstance(items, list) else [document]
    return [document]
