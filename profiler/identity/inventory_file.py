"""Reads the file of an inventory: a List of Kubernetes objects, or why it is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ethogram.contracts.foreign import recognise
from ethogram.contracts.inventory_command import INVENTORY_COMMAND
from ethogram.errors import UsageError
from profiler.identity.kubernetes import (
    Controller,
    EndpointSlice,
    Namespace,
    Node,
    PodObject,
    Service,
    TypeMeta,
)
from profiler.identity.model import bounded

__all__ = ["COMMAND", "read_objects"]

COMMAND = INVENTORY_COMMAND

Model = TypeVar("Model", bound=BaseModel)

_HINT = f"write it with `{COMMAND}`"
_LIMIT_BYTES = 1 << 30

# By API group, so that another API's kind of the same name, such as Knative's Service, is not it.
_MODELS: Mapping[tuple[str, str], type[BaseModel]] = {
    ("", "Pod"): PodObject,
    ("", "Service"): Service,
    ("", "Namespace"): Namespace,
    ("", "Node"): Node,
    ("discovery.k8s.io", "EndpointSlice"): EndpointSlice,
    ("apps", "ReplicaSet"): Controller,
    ("apps", "Deployment"): Controller,
    ("apps", "StatefulSet"): Controller,
    ("apps", "DaemonSet"): Controller,
    ("batch", "Job"): Controller,
    ("batch", "CronJob"): Controller,
}
_LIST = "List"
# What kubectl prints without `-o json`, and what it says of a failure.
_TABLE = re.compile(r"(NAMESPACE|NAME) +[A-Z]")
_COMPLAINT = re.compile(r"(?:error|Error from server|Unable to connect)\b.*")


def read_objects(path: Path) -> list[tuple[str, BaseModel]]:
    """Return the objects in *path* that an inventory is made of, each with its kind.

    The file holds a `List`, as kubectl prints it, or a list of one kind (`PodList`), as the API
    server answers. `UsageError` says what else it is, or names the item and the field.
    """
    kind, version, items = _list(path, _read(path))
    # The API server leaves out of the items of such a list what its own kind says.
    of_items = {} if kind == _LIST else {"apiVersion": version, "kind": kind.removesuffix(_LIST)}
    objects = [_object(path, index, item, of_items) for index, item in enumerate(items)]
    found = [each for each in objects if each is not None]
    if all(kind == "Namespace" for kind, _ in found):
        where = "among its items" if items else "in it: its list is empty"
        raise UsageError(
            f"inventory `{path}` names nothing: there is no pod, service, node or owner {where}",
            hint=f"{_HINT}, in the cluster that is recorded",
        )
    return found


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
        if len(content) > _LIMIT_BYTES:
            raise UsageError(f"inventory `{path}` is larger than 1 GiB", hint=_HINT)
        return content
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"inventory `{path}` cannot be read: {reason}", hint=_HINT) from error


def _list(path: Path, content: bytes) -> tuple[str, object, Sequence[object]]:
    """Return kind, API version and items of the List in *content*; `UsageError` if it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        cause = _why_no_json(content, error)
        raise UsageError(f"inventory `{path}` is not JSON: {cause}", hint=_HINT) from error
    match document:
        case {"kind": str(kind), "items": list() | None as items} if kind.endswith(_LIST):
            return kind, document.get("apiVersion"), items or ()
    raise UsageError(f"inventory `{path}` is {_why_no_list(document)}", hint=_HINT)


def _why_no_json(content: bytes, error: Exception) -> str:
    text = content.decode("utf-8", "replace").strip()
    if not text:
        return "it is empty"
    if not text.startswith(("{", "[")):
        return _what_is_said(text) or bounded(str(error), 200)
    match error:
        case json.JSONDecodeError(msg="Extra data"):
            return "several documents follow one another"
        case json.JSONDecodeError(doc=doc, pos=at, msg=cause):
            if not doc[at:].strip() or cause.startswith("Unterminated string"):
                return "it ends in the middle"
    return bounded(str(error), 200)


def _what_is_said(text: str) -> str | None:
    """Return what *text* is that does not even begin as JSON."""
    if what := recognise(text):
        return f"it is {what} in YAML"
    if _TABLE.match(text):
        return "it is a table for people"
    complaint = _COMPLAINT.match(text)
    return complaint and f"kubectl wrote `{bounded(complaint[0], 200)}`"


def _why_no_list(document: object) -> str:
    match document:
        case {"kind": "Status", "message": str(message)}:
            what = f"a refusal of the API server: {bounded(message, 200)}"
        case {"kind": str(kind), "items": _} if kind.endswith(_LIST):
            what = f"a {bounded(kind, 64)} whose `items` are no list"
        case {"kind": str(kind)} if kind.endswith(_LIST):
            what = f"a {bounded(kind, 64)} without `items`"
        case {"kind": str(kind)}:
            what = f"one {bounded(kind, 64)}, not a List"
        case {"schema": str(schema)}:
            known = recognise(json.dumps({"schema": schema[:64]}))
            what = f"{known or 'something else'}, not a List"
        case dict():
            what = "not a List: it has no `kind`"
        case list():
            what = "an array, not a List"
        case _:
            what = "a single value, not a List"
    return what


def _object(
    path: Path, index: int, item: object, of_items: Mapping[str, object]
) -> tuple[str, BaseModel] | None:
    where = f"inventory `{path}`: item {index}"
    meta = _checked(TypeMeta, {**of_items, **item} if isinstance(item, dict) else item, where)
    group = meta.api_version.rpartition("/")[0]
    model = _MODELS.get((group, meta.kind))
    if model is None:
        return None
    return meta.kind, _checked(model, item, f"{where} ({meta.kind}{_name_in(item)})")


def _name_in(item: object) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return ""
    parts = [metadata.get("namespace"), metadata.get("name")]
    name = "/".join(part for part in parts if isinstance(part, str))
    return f" {bounded(name, 128)}" if name else ""


def _checked(model: type[Model], item: object, where: str) -> Model:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = _field_path(first["loc"])
        message = bounded(first["msg"][:1].lower() + first["msg"][1:], 200)
        raise UsageError(f"{where}: {at}{message}", hint=_HINT) from error


def _field_path(location: Iterable[int | str]) -> str:
    path = ".".join(str(part) for part in location)
    return f"`{bounded(path, 128)}`: " if path else ""
