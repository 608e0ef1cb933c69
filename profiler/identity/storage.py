"""What podman and CRI-O keep of a container: both use the same store of containers and images."""

from __future__ import annotations

import json
from pathlib import Path

from profiler.identity.model import Facts, bounded, digest_of
from profiler.identity.oci import is_container_id, read_bundle
from profiler.identity.reading import Signature, below, parse_object, read_bytes, signature

__all__ = ["ContainerStore"]

_RUN = "/run/containers/storage"
_LIBRARY = "/var/lib/containers/storage"
_CONTAINER_LISTS = (
    f"{_LIBRARY}/overlay-containers/containers.json",
    f"{_RUN}/overlay-containers/volatile-containers.json",
    f"{_LIBRARY}/overlay-containers/volatile-containers.json",
)
_IMAGE_LIST = f"{_LIBRARY}/overlay-images/images.json"

_Rows = dict[str, dict[str, object]]


class ContainerStore:
    """Containers and images of the store below *root*, the system's own, by container id.

    The lists are read again when they have changed. Stores of ordinary users are not looked at.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lists: dict[str, tuple[Signature | None, _Rows]] = {}

    def container_of(self, container_id: str) -> list[Facts]:
        """Return what the bundle and the list of containers say, the most telling first."""
        if not is_container_id(container_id):
            return []
        bundles = (
            read_bundle(
                below(self._root, f"{store}/overlay-containers/{container_id}/userdata"),
                container_id,
            )
            for store in (_RUN, _LIBRARY)
        )
        listed = (self._listed(path, container_id) for path in _CONTAINER_LISTS)
        return [facts for facts in (*listed, *bundles) if facts is not None]

    def _listed(self, path: str, container_id: str) -> Facts | None:
        row = self._rows(path).get(container_id)
        if row is None:
            return None
        names = row.get("names")
        metadata = row.get("metadata")
        more = parse_object(metadata) if isinstance(metadata, str) else None
        more = more or {}
        image_id = row.get("image")
        image = self._rows(_IMAGE_LIST).get(image_id) if isinstance(image_id, str) else None
        name = names[0] if isinstance(names, list) and names else more.get("name")
        reference = more.get("image-name")
        digest = image.get("digest") if image else None
        return Facts(
            "podman",
            container_id,
            name=bounded(name) if isinstance(name, str) and name else None,
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
