"""Bundles that containerd keeps of its running tasks, its own and those of k3s and Docker."""

from __future__ import annotations

from pathlib import Path

from profiler.identity.model import Facts
from profiler.identity.oci import is_container_id, read_bundle
from profiler.identity.reading import below

__all__ = ["TASKS", "task_of"]

TASKS = (
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
)


def task_of(root: Path, container_id: str) -> Facts | None:
    """Return what the bundle of a running task says; None if there is none of this id."""
    if not is_container_id(container_id):
        return None
    for tasks in TASKS:
        try:
            namespaces = sorted(below(root, tasks).iterdir())
        except OSError:
            continue
        for namespace in namespaces:
            facts = read_bundle(namespace / container_id, container_id)
            if facts is not None:
                return facts
    return None
