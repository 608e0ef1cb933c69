"""What `audit` reads: manifests in files and directories, standard input, or a live cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ethogram.contracts.escape import escape
from ethogram.contracts.plain_file import open_plain
from ethogram.errors import EthogramError, UsageError
from ethogram.posture.findings import Unreadable
from ethogram.posture.manifests import MAX_BYTES, objects_of_text
from ethogram.posture.objects import KubeObject, Source, World, objects_in

if TYPE_CHECKING:
    from profiler.cluster.client import ReadOnlyClient

__all__ = ["RESOURCES", "STANDARD_INPUT", "read_cluster", "read_manifests"]

STANDARD_INPUT = "-"
_SUFFIXES = {".yaml", ".yml", ".json"}
# Where they are in an API server. Nothing but lists is asked for; docs/audit.md has the role.
RESOURCES = (
    "/api/v1/namespaces",
    "/api/v1/pods",
    "/api/v1/replicationcontrollers",
    "/api/v1/serviceaccounts",
    "/api/v1/services",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/replicasets",
    "/apis/apps/v1/statefulsets",
    "/apis/batch/v1/cronjobs",
    "/apis/batch/v1/jobs",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
)


def read_manifests(places: Sequence[str]) -> tuple[World, list[Unreadable]]:
    """Return the objects in *places*, and what of them could not be read.

    `UsageError` where a place that was named is not there, or nothing in it is an object.
    """
    objects: list[KubeObject] = []
    unreadable: list[Unreadable] = []
    for place in places:
        for found in _texts(place):
            if isinstance(found, Unreadable):
                unreadable.append(found)
                continue
            for one in objects_of_text(*found):
                (unreadable if isinstance(one, Unreadable) else objects).append(one)  # type: ignore[arg-type]
    if not objects and not unreadable:
        named = ", ".join(f"`{escape(place)}`" for place in places)
        raise UsageError(
            f"there is no Kubernetes object in {named}",
            hint="name manifests, or pipe them: `kubectl kustomize overlays/production | "
            "ethogram audit -`",
        )
    return World(tuple(objects)), unreadable


def _texts(place: str) -> Iterator[tuple[str, str] | Unreadable]:
    if place == STANDARD_INPUT:
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
        yield _decoded(content, "<standard input>")
        return
    path = Path(place)
    if not path.exists():
        raise UsageError(
            f"there is no `{escape(place)}`", hint="name manifests, a directory of them, or `-`"
        )
    for file in _files(path) if path.is_dir() else [path]:
        yield _read(file)


def _files(directory: Path) -> Iterator[Path]:
    """Yield the manifests below *directory* in the order of their names, but for hidden places."""
    for above, below, names in os.walk(directory):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix in _SUFFIXES and not name.startswith("."):
                yield Path(above, name)


def _read(path: Path) -> tuple[str, str] | Unreadable:
    try:
        with open_plain(path) as file:
            return _decoded(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        return Unreadable(str(path), (error.strerror or str(error)).lower())


def _decoded(content: bytes, name: str) -> tuple[str, str] | Unreadable:
    if len(content) > MAX_BYTES:
        return Unreadable(name, f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        return content.decode("utf-8-sig"), name
    except UnicodeDecodeError:
        return Unreadable(name, "it is not UTF-8 text")


def read_cluster(client: ReadOnlyClient) -> tuple[World, list[Unreadable]]:
    """Return what the cluster of *client* has, and what of it we may not read.

    Where something could not be read, the rest is no longer all there is.
    """
    from profiler.cluster.client import ClusterError, RefusedError

    objects: list[KubeObject] = []
    unreadable: list[Unreadable] = []
    for path in RESOURCES:
        try:
            for part in client.list(path):
                objects.extend(objects_in(part, Source(path)))
        except RefusedError as error:
            unreadable.append(Unreadable(path, str(error)))
        except ClusterError as error:
            raise EthogramError(
                f"the API server did not answer: {error}",
                hint="`kubectl get pods -A` asks the same",
            ) from error
    return World(tuple(objects), is_whole=not unreadable, is_live=True), unreadable
