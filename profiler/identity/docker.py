"""What Docker keeps of a container: its name, image and labels."""

from __future__ import annotations

from pathlib import Path

from profiler.identity.model import Facts, bounded, bounded_mapping, digest_of
from profiler.identity.oci import is_container_id
from profiler.identity.reading import below, read_object

__all__ = ["container_of"]


def container_of(root: Path, container_id: str) -> Facts | None:
    """Return what Docker's `config.v2.json` says; None if Docker has no such container.

    The digest is that of the manifest where the file or the image reference has it, and else the
    image's id, which is the digest of its configuration.
    """
    if not is_container_id(container_id):
        return None
    config = read_object(below(root, f"/var/lib/docker/containers/{container_id}/config.v2.json"))
    if config is None:
        return None
    made = _object(config.get("Config"))
    reference = _text(made.get("Image"))
    manifest = _text(_object(config.get("ImageManifest")).get("digest"))
    name = _text(config.get("Name"))
    pid = _object(config.get("State")).get("Pid")
    return Facts(
        "docker",
        container_id,
        name=bounded(name.removeprefix("/")) if name else None,
        init_pid=pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 else None,
        image=bounded(reference) if reference else None,
        image_digest=digest_of(manifest)
        or digest_of(reference)
        or digest_of(_text(config.get("Image"))),
        labels=bounded_mapping(_object(made.get("Labels"))),
    )


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
