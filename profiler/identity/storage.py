"""What podman and CRI-O keep of a container: both use the same store of containers and images."""

from __future__ import annotations

import json
import re
from pathlib import Path

from profiler.identity.model import Facts, bounded, digest_of
from profiler.identity.oci import is_container_id, read_bundle
from profiler.identity.reading import Signature, below, parse_object, read_bytes, signature

__all__ = ["ContainerStore"]

# The system's own store, which may be split in two.
_RUN = "/run/containers/storage"
_LIBRARY = "/var/lib/containers/storage"
_LISTS = ("containers.json", "volatile-containers.json")
# `STORE/DRIVER-containers/ID/userdata`, where DRIVER is overlay, vfs ...
_BUNDLE = re.compile(r"(/.+)/([a-z0-9]{1,16})-containers/[^/]+/userdata/?")

_Rows = dict[str, dict[str, object]]


class ContainerStore:
    """Containers and images of the stores below *root*, by container id.

    The lists are read again when they have changed. Looked at are the system's own store and the
    one that a container's declared bundle lies in, never those of ordinary users.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lists: dict[str, tuple[Signature | None, _Rows]] = {}

    def container_of(self, container_id: str, bundle: str | None = None) -> list[Facts]:
        """Return what the lists of containers and the bundle say, the most telling first."""
        if not is_container_id(container_id):
            return []
        stores = [(_LIBRARY, "overlay"), (_RUN, "overlay")]
        declared = _BUNDLE.fullmatch(bundle or "")
        if declared is not None:
            stores.insert(0, (declared[1], declared[2]))
        found: list[Facts | None] = [
            self._listed(f"{store}/{driver}", name, container_id)
            for store, driver in stores
            for name in _LISTS
        ]
        for store, driver in stores:
            directory = f"{store}/{driver}-containers/{container_id}/userdata"
            found.append(read_bundle(below(self._root, directory), container_id))
        return [facts for facts in found if facts is not None]

    def _listed(self, store: str, name: str, container_id: str) -> Facts | None:
        row = self._rows(f"{store}-containers/{name}").get(container_id)
        if row is None:
            return None
        metadata = row.get("metadata")
        more = (parse_object(metadata) if isinstance(metadata, str) else None) or {}
        image_id, names = row.get("image"), row.get("names")
        images = self._rows(f"{store}-images/images.json")
        image = images.get(image_id) if isinstance(image_id, str) else None
        container = names[0] if isinstance(names, list) and names else more.get("name")
        reference = more.get("image-name")
        digest = image.get("digest") if image else None
        return Facts(
            "podman",
            container_id,
            name=bounded(container) if isinstance(container, str) and container else None,
            image=bounded(reference) if isinstance(reference, str) and reference else None,
            image_digest=digest_of(digest) if isinstance(digest, str) else None,
        )

    def _rows(self, path: str) -> _Rows:
        file = below(self._root, path)
        written = signature(file)
        known = self._lists.get(path)
        if known is not None and known[0] == written:
            return known[1]
        rows = _parse(read_bytes(file)) if written is not None else {}
        self._lists[path] = (written, rows)
        return rows


def _parse(content: bytes | None) -> _Rows:
    try:
        rows = json.loads(content or b"[]")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(rows, list):
        return {}
    return {
        row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)
    }
