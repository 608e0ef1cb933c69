"""Carries policies from one environment to another, as a map says: for replay, not to be applied.

Names are mapped where a policy has a place for them: namespaces, labels, blocks of addresses, and
the workload's key in an export's index. Text inside of expressions stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from ethogram.contracts.environment_file import Environment
from ethogram.contracts.exports import IndexEntry
from ethogram.contracts.keys import parse_workload_key
from ethogram.contracts.policy_files import PolicyDocument
from ethogram.errors import UsageError

__all__ = ["carried_policies"]

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def carried_policies(
    documents: Sequence[PolicyDocument], environment: Environment, name: str
) -> list[PolicyDocument]:
    """Return *documents* as they read in the other environment.

    Raises `UsageError` where the map, called *name*, changes nothing: it is that of something else.
    """
    found = [
        replace(
            one,
            content=_mapped(one.content, environment),
            entry=one.entry and _entry(one.entry, environment),
        )
        for one in documents
    ]
    if found == list(documents):
        raise UsageError(
            f"`{name}` maps nothing of these policies",
            hint="is it the map of another application?",
        )
    return found


def _entry(entry: IndexEntry, environment: Environment) -> IndexEntry:
    try:
        key = parse_workload_key(entry.workload_key)
    except ValueError:
        return entry  # whoever asks for the key says what is wrong with it
    cluster = environment.clusters.get(str(key.cluster), key.cluster)
    namespace = environment.namespaces.get(str(key.namespace), key.namespace)
    mapped = replace(key, cluster=cluster, namespace=namespace)
    return entry.model_copy(update={"workload_key": str(mapped)})


def _mapped(node: Any, environment: Environment, key: str = "") -> Any:
    match node:
        case Mapping():
            if key == "matchLabels":
                return {name: _label(name, value, environment) for name, value in node.items()}
            if {"key", "operator", "values"} <= node.keys() and isinstance(node["values"], list):
                values = [_label(node["key"], value, environment) for value in node["values"]]
                return {**node, "values": values}
            return {name: _mapped(value, environment, name) for name, value in node.items()}
        case list():
            return [_mapped(item, environment, key) for item in node]
        case str():
            return _text(node, environment, key)
    return node


def _text(text: str, environment: Environment, key: str) -> str:
    match key:
        case "namespace":
            return environment.namespaces.get(text, text)
        case "cidr" | "except":
            return _block(text, environment)
    return text


def _label(key: Any, value: Any, environment: Environment) -> Any:
    if not isinstance(key, str) or not isinstance(value, str):
        return value
    if key == _NAMESPACE_NAME:
        return environment.namespaces.get(value, value)
    return environment.labels.get(key, {}).get(value, value)


def _block(text: str, environment: Environment) -> str:
    """Return the block of addresses *text* where its own block is mapped to."""
    try:
        block = ip_network(text)
    except ValueError:
        return text
    for source, target in environment.networks().items():
        if source.version == block.version and block.subnet_of(source):  # type: ignore[arg-type]
            behind = int(block.network_address) - int(source.network_address)
            return f"{target.network_address + behind}/{block.prefixlen}"
    return text
