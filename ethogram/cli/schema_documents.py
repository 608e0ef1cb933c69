"""What the lines of `watch` mean: findings and events, from the models that write them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

__all__ = ["document_markdown", "print_document"]


def print_document(name: str, output_format: str) -> None:
    """Print the schema of the document *name*."""
    model = _model(name)
    match output_format:
        case "json":
            print(json.dumps(model.model_json_schema(by_alias=True), indent=2))
        case "markdown":
            print(document_markdown(name), end="")
        case _:
            _print_text(name)


def document_markdown(name: str) -> str:
    """Return the schema of the document *name* as Markdown: a table for each of its objects."""
    parts = []
    for one in _models(_model(name)):
        parts += [f"### {_title(one, name)}\n", f"{_doc(one)}\n", "| field | type |", "|---|---|"]
        parts += [f"| `{field}` | `{kind}` |" for field, kind in _fields(one)]
        parts.append("")
    return "\n".join(parts)


def _print_text(name: str) -> None:
    from rich import box
    from rich.table import Table

    from ethogram.cli.screen import output

    console = output()
    for one in _models(_model(name)):
        grid = Table(box=box.SIMPLE_HEAD, title=_title(one, name), title_justify="left")
        grid.add_column("field", no_wrap=True)
        grid.add_column("type")
        for field, kind in _fields(one):
            grid.add_row(field, kind)
        console.print(grid)
        console.print(_doc(one), markup=False)
        console.print()
    console.print("a type with `?` is absent where it is not known, or does not apply")


def _model(name: str) -> type[BaseModel]:
    from ethogram.contracts.event import Event
    from ethogram.contracts.finding import Finding

    models: dict[str, type[BaseModel]] = {"finding": Finding, "event": Event}
    return models[name]


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return *model* and the models of its fields, each once, in the order of reading."""
    found = {model: None}
    for one in found.copy():
        for field in one.model_fields.values():
            for inner in _inner(field.annotation):
                found |= dict.fromkeys(_models(inner))
    return list(found)


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inner(part)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    whole = model.model_json_schema(by_alias=True)
    required = whole.get("required", [])
    for name, schema in whole["properties"].items():
        yield name, _kind(schema) + ("" if name in required or "const" in schema else "?")


def _kind(schema: dict[str, Any]) -> str:
    """Return in words what a JSON Schema lets through."""
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _title(model: type[BaseModel], name: str) -> str:
    return name if model is _model(name) else model.__name__


def _doc(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").split())
