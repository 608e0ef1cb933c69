"""Names of workloads and instances that hold across recordings, hosts and restarts.

A workload's key reads from the widest name to the narrowest:

    cluster/namespace/kind/name/container/container_kind@image_digest

    _/shop-staging/Deployment/checkout/nginx/main@sha256:9f86d0...
    _/_/Unit/nginx.service/_/none

A part that does not apply is `_`, and without a digest there is no `@`. Whatever is not a letter,
digit or one of `. _ : + ~ -` is written as `%XX` of its UTF-8 bytes, so that a part never holds
`/`, `@`, a space or a control character, whoever chose it; a part that is itself `_` is `%5F`.
Two workloads have the same key exactly when they have the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "WorkloadKey",
    "instance_key",
    "names_workload",
    "parse_workload_key",
    "workload_key",
    "workload_key_of",
]

_ABSENT = "_"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:+~-")
_ESCAPED_PART = re.compile(r"(?:[A-Za-z0-9._:+~-]|%[0-9A-F]{2})*")
_PARTS = 6


@dataclass(frozen=True, slots=True)
class WorkloadKey:
    """The parts of a workload's key; `str()` of it is the key."""

    cluster: str | None
    namespace: str | None
    kind: str
    name: str
    container: str | None
    container_kind: str
    image_digest: str | None

    def __str__(self) -> str:
        parts = (
            self.cluster,
            self.namespace,
            self.kind,
            self.name,
            self.container,
            self.container_kind,
        )
        key = "/".join(_escape(part) for part in parts)
        return key if self.image_digest is None else f"{key}@{_escape(self.image_digest)}"


@lru_cache(maxsize=8192)
def workload_key(  # noqa: PLR0917  the parts in the order in which the key has them
    cluster: str | None,
    namespace: str | None,
    kind: str,
    name: str,
    container: str | None,
    image_digest: str | None,
    *,
    container_kind: str | None = None,
) -> str:
    """Return the key of a workload; `parse_workload_key` is its inverse.

    Without *container_kind*, a workload that has a container is `main` and one without is `none`.
    """
    if container_kind is None:
        container_kind = "none" if container is None else "main"
    return str(WorkloadKey(cluster, namespace, kind, name, container, container_kind, image_digest))


def workload_key_of(row: Mapping[str, object]) -> str:
    """Return the key of a row of the `workloads` table, given as a mapping of its columns."""
    return workload_key(
        _optional(row, "cluster"),
        _optional(row, "namespace"),
        str(row["kind"]),
        str(row["name"]),
        _optional(row, "container"),
        _optional(row, "image_digest"),
        container_kind=_optional(row, "container_kind"),
    )


def parse_workload_key(key: str) -> WorkloadKey:
    """Return the parts of *key*.

    Raises ValueError for a string that `workload_key` cannot have returned.
    """
    head, has_digest, digest = key.partition("@")
    parts = [_unescape(part, key) for part in head.split("/")]
    if len(parts) != _PARTS:
        raise ValueError(f"workload key of {len(parts)} parts instead of {_PARTS}: {key!r}")
    cluster, namespace, kind, name, container, container_kind = parts
    if kind is None or name is None or container_kind is None:
        raise ValueError(f"workload key without kind, name or container kind: {key!r}")
    image_digest = _unescape(digest, key) if has_digest else None
    if has_digest and image_digest is None:
        raise ValueError(f"workload key with `@` and no digest: {key!r}")
    return WorkloadKey(cluster, namespace, kind, name, container, container_kind, image_digest)


@lru_cache(maxsize=8192)
def instance_key(host_id: str, runtime_id: str) -> str:
    """Return the key of one container, unit start or command run on one host."""
    return f"{_escape(host_id)}/{_escape(runtime_id)}"


def names_workload(name: str, key: WorkloadKey) -> bool:
    """Say whether *name* is what somebody calls the workload *key*.

    A whole key, or `[NAMESPACE/[KIND/]]NAME` or `NAMESPACE/KIND/NAME/CONTAINER`; `_` is none.
    """
    if name.count("/") == _PARTS - 1:
        return name == str(key)
    parts = [None if part == _ABSENT else part for part in name.split("/")]
    match parts:
        case [last]:
            return last == key.name
        case [namespace, last]:
            return (namespace, last) == (key.namespace, key.name)
        case [namespace, kind, last]:
            return (namespace, kind, last) == (key.namespace, key.kind, key.name)
        case [namespace, kind, last, container]:
            given = (namespace, kind, last, container)
            return given == (key.namespace, key.kind, key.name, key.container)
    return False


def _optional(row: Mapping[str, object], column: str) -> str | None:
    value = row.get(column)
    return None if value is None else str(value)


def _escape(part: str | None) -> str:
    if part is None:
        return _ABSENT
    if part == _ABSENT:
        return "%5F"
    # A lone surrogate stands for a byte that was not UTF-8; it has to survive the way back.
    data = part.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in data)


def _unescape(part: str, key: str) -> str | None:
    if part == _ABSENT:
        return None
    if not _ESCAPED_PART.fullmatch(part):
        raise ValueError(f"workload key with a character that is not escaped: {key!r}")
    data = re.sub(rb"%([0-9A-F]{2})", lambda hit: bytes([int(hit[1], 16)]), part.encode("ascii"))
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ValueError(f"workload key that is not UTF-8: {key!r}") from error
    if _escape(text) != part:
        raise ValueError(f"workload key that is not in canonical form: {key!r}")
    return text
