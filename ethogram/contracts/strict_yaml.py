"""YAML that every reader reads alike: written without choices, read without surprises.

Written: a string is plain only where Go's and Python's readers agree that it is a string. Read: no
anchors, aliases, tags or double keys, bounded in size and depth, safe types only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

import yaml

__all__ = ["OneLine", "StrictYamlError", "dump_yaml", "load_yaml", "load_yaml_documents"]

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_ITSELF = re.compile(r"[ !#-\[\]-~]*")  # between quotes
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_MAX_CHARACTERS = 256 * 1024 * 1024
_MAX_DEPTH = 32
_FLOW_WIDTH = 100
_SHORT_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


class StrictYamlError(ValueError):
    """The text is not YAML of the kind that this module reads; the message says where."""


class OneLine(dict[str, Any]):
    """A mapping that is written on one line, where it fits, though it has lists of scalars."""


def dump_yaml(document: Mapping[str, Any]) -> str:
    """Return *document* as block YAML: mappings in their order, the same bytes for equal input.

    Values are None, bool, int, float, str, and mappings and sequences of these. What holds only
    scalars and fits a line is written in flow style, and so is a `OneLine`.
    """
    lines: list[str] = []
    _block(document, 0, lines)
    lines.append("")
    return "\n".join(lines)


def _block(node: Mapping[str, Any] | Sequence[Any], indent: int, lines: list[str]) -> None:
    """Append *node* to *lines*."""
    space = " " * indent
    if isinstance(node, Mapping):
        for key, value in node.items():
            head = f"{space}{_scalar(key)}:"
            if (inline := _inline(value, len(head))) is not None:
                lines.append(f"{head} {inline}")
                continue
            lines.append(head)
            _block(value, indent + 2, lines)
        return
    for value in node:
        if (inline := _inline(value, indent + 1)) is not None:
            lines.append(f"{space}- {inline}")
            continue
        first = len(lines)
        _block(value, indent + 2, lines)
        lines[first] = f"{space}- {lines[first].lstrip(' ')}"


def _inline(value: Any, column: int) -> str | None:
    """Return *value* on one line, or None where it needs a block."""
    kind = _kind(value)
    if kind is _Kind.SCALAR:
        return _scalar(value)
    if not value:
        return "{}" if kind is _Kind.MAPPING else "[]"
    if isinstance(value, OneLine):
        items = {key: _inline(item, 0) for key, item in value.items()}
        text = ", ".join([f"{_scalar(key)}: {item}" for key, item in items.items()])
        is_short = None not in items.values() and column + len(text) + 3 <= _FLOW_WIDTH
        return f"{{{text}}}" if is_short else None
    items = value.values() if kind is _Kind.MAPPING else value
    if any(_kind(item) is not _Kind.SCALAR for item in items):
        return None
    if kind is _Kind.MAPPING:
        text = ", ".join([f"{_scalar(key)}: {_scalar(item)}" for key, item in value.items()])
        text = f"{{{text}}}"
    else:
        text = f"[{', '.join([_scalar(item) for item in value])}]"
    return text if column + len(text) + 1 <= _FLOW_WIDTH else None


class _Kind(Enum):
    SCALAR = auto()
    MAPPING = auto()
    SEQUENCE = auto()


# A baseline has ten thousands of values: to ask an abstract class about each takes most of the
# time, so what documents are made of is known by its type.
_KINDS = {
    dict: _Kind.MAPPING, list: _Kind.SEQUENCE, tuple: _Kind.SEQUENCE,
    str: _Kind.SCALAR, int: _Kind.SCALAR, float: _Kind.SCALAR, bool: _Kind.SCALAR,
    type(None): _Kind.SCALAR,
}  # fmt: skip


def _kind(value: object) -> _Kind:
    known = _KINDS.get(type(value))
    if known is not None:
        return known
    if isinstance(value, Mapping):
        return _Kind.MAPPING
    is_sequence = isinstance(value, Sequence) and not isinstance(value, str)
    return _Kind.SEQUENCE if is_sequence else _Kind.SCALAR


def _scalar(value: object) -> str:
    if type(value) is str:
        return _text(value)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            # YAML 1.1 reads `1e-05` as a string: no exponent, always a point.
            return f"{value:.6f}".rstrip("0").ljust(len(f"{int(value)}.0"), "0")
        case str():
            return _text(value)
    raise TypeError(f"`{type(value).__name__}` has no YAML form here")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if _ITSELF.fullmatch(text):
        return f'"{text}"'
    return '"' + "".join(_quoted_character(character) for character in text) + '"'


def _quoted_character(character: str) -> str:
    if short := _SHORT_ESCAPES.get(character):
        return short
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen here
    """A safe loader that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise StrictYamlError(f"{_place(key_node)}: a key must be a string")
            if key in seen:
                raise StrictYamlError(f"{_place(key_node)}: the key `{key}` stands twice")
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_yaml(text: str) -> Any:
    """Return the one document in *text*, or raise `StrictYamlError` with line and cause."""
    return _loaded(text, lambda: yaml.load(text, Loader=_Loader))  # noqa: S506  a safe loader


def load_yaml_documents(text: str, *, max_depth: int = _MAX_DEPTH) -> list[Any]:
    """Return all documents in *text*; raises as `load_yaml` does."""
    documents: list[Any] = _loaded(
        text, lambda: list(yaml.load_all(text, Loader=_Loader)), max_depth
    )
    return documents


def _loaded(text: str, load: Callable[[], Any], max_depth: int = _MAX_DEPTH) -> Any:
    if len(text) > _MAX_CHARACTERS:
        raise StrictYamlError(f"larger than {_MAX_CHARACTERS} characters")
    try:
        _check_events(text, max_depth)
        return load()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise StrictYamlError(f"{where}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise StrictYamlError(str(error).splitlines()[0].partition(";")[0]) from error


def _check_events(text: str, max_depth: int) -> None:
    """Refuse what could blow up or hide something while it is composed."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise StrictYamlError(f"{_place(event)}: anchors and aliases are not read")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            raise StrictYamlError(f"{_place(event)}: tags are not read")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > max_depth:
            raise StrictYamlError(f"{_place(event)}: nested deeper than {max_depth}")


def _place(node: yaml.Node | yaml.Event) -> str:
    mark = node.start_mark
    return "somewhere" if mark is None else f"line {mark.line + 1}"
