"""Objects out of the text of manifests: YAML of one or many documents, or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ethogram.contracts.strict_json import load_json
from ethogram.contracts.strict_yaml import StrictYamlError, load_yaml_documents
from ethogram.posture.findings import Unreadable
from ethogram.posture.objects import KubeObject, Source, objects_in
from ethogram.posture.pods import Path

__all__ = ["MAX_BYTES", "line_of", "objects_of_text"]

MAX_BYTES = 64 << 20
# Schemas in CustomResourceDefinitions nest far deeper than what people write by hand.
_MAX_DEPTH = 128
_TEMPLATE = re.compile(r"{{[^}\n]*}}")


def objects_of_text(text: str, file: str) -> Iterator[KubeObject | Unreadable]:
    """Yield the objects in *text* of *file*; `Unreadable` says what could not be read.

    Documents that are no objects of Kubernetes yield nothing: directories hold values and
    configuration of tools as well.
    """
    try:
        documents = _documents(text)
    except (StrictYamlError, ValueError, RecursionError) as error:
        cause = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        if _TEMPLATE.search(text):
            cause = f"it is a template ({cause}): render it first, as with `helm template`"
        yield Unreadable(file, cause)
        return
    for number, document in enumerate(documents):
        yield from objects_in(document, Source(file, number))


def _documents(text: str) -> list[Any]:
    if text.lstrip()[:1] in ("{", "["):
        try:
            found = load_json(text)
        except ValueError:
            return load_yaml_documents(text, max_depth=_MAX_DEPTH)
        return found if isinstance(found, list) else [found]
    return load_yaml_documents(text, max_depth=_MAX_DEPTH)


def line_of(text: str, source: Source, path: Path) -> int:
    """Return the line of *text* where the field *path* of an object stands, the first being 1.

    Where the field is not set, it is that of what it would be in.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        nodes = list(yaml.compose_all(text, Loader=loader))
    except yaml.YAMLError:
        return 1
    if source.document >= len(nodes) or nodes[source.document] is None:
        return 1
    node = nodes[source.document]
    line = node.start_mark.line
    for part in (*source.at, *path):
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return int(line) + 1


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """Return what stands under *part* of *node*, with the line of its key."""
    if isinstance(part, int):
        if not isinstance(node, yaml.SequenceNode) or part >= len(node.value):
            return None
        item: yaml.Node = node.value[part]
        return item.start_mark.line, item
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    return None
