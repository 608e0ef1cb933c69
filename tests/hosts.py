"""A host made of files: cgroups and the state of container runtimes, below a directory.

The cgroups are directories, so their ids are real inodes. What is written has the form that the
runtimes were seen to write.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["CRI", "CRIO", "HEX", "POD_UID", "Host"]

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
POD_UID = "0d6f9c1e-3f5a-4b43-9a3e-8f1d2c3b4a5d"

CRI = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.sandbox-namespace": "shop-staging",
    "io.kubernetes.cri.sandbox-name": "checkout-5d4f8c7b9d-x2x9z",
    "io.kubernetes.cri.sandbox-uid": POD_UID,
    "io.kubernetes.cri.container-name": "nginx",
    "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.25",
}
CRIO = {
    "io.kubernetes.pod.namespace": "shop-staging",
    "io.kubernetes.pod.name": "checkout-5d4f8c7b9d-x2x9z",
    "io.kubernetes.pod.uid": POD_UID,
    "io.kubernetes.container.name": "nginx",
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.cri-o.ImageName": "docker.io/library/nginx:1.25",
    "io.kubernetes.cri-o.ImageRef": f"docker.io/library/nginx@sha256:{HEX}",
    "io.kubernetes.cri-o.Labels": json.dumps(
        {"app": "checkout", "io.kubernetes.pod.name": "checkout-5d4f8c7b9d-x2x9z"}
    ),
}


class Host:
    """A host below *root*: hybrid cgroups unless *is_unified*."""

    def __init__(self, root: Path, *, is_unified: bool = False) -> None:
        self.root = root
        self.mount = "/sys/fs/cgroup" if is_unified else "/sys/fs/cgroup/unified"
        self.write(f"{self.mount}/cgroup.controllers", "")

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str | bytes | Mapping[str, Any] | list[Any]) -> Path:
        """Write *content*, as JSON where it is neither text nor bytes; return the file."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def remove(self, path: str) -> None:
        shutil.rmtree(self.path(path))

    def cgroup(self, path: str) -> int:
        """Make the cgroup *path*; return its id."""
        directory = self.path(f"{self.mount}{path}")
        directory.mkdir(parents=True, exist_ok=True)
        return directory.stat().st_ino

    def runc(
        self,
        container_id: str,
        *,
        cgroup: str | None,
        annotations: Mapping[str, str] = {},
        root: str = "/run/runc",
        bundle: str = "/somewhere/bundle",
        pid: int = 4711,
    ) -> None:
        """Write the state of a container as runc 1.1 does."""
        labels = [f"{key}={value}" for key, value in annotations.items()]
        state = {
            "id": container_id,
            "init_process_pid": pid,
            "cgroup_paths": {"": f"{self.mount}{cgroup}"} if cgroup else {},
            "config": {"rootfs": f"{bundle}/rootfs", "labels": [*labels, f"bundle={bundle}"]},
        }
        self.write(f"{root}/{container_id}/state.json", state)

    def crun(
        self, container_id: str, *, cgroup: str, annotations: Mapping[str, str], bundle: str
    ) -> None:
        """Write the state of a container as crun 1.8 does."""
        status = {"pid": 4712, "cgroup-path": cgroup, "bundle": bundle, "systemd-cgroup": False}
        self.write(f"/run/crun/{container_id}/status", status)
        self.write(f"/run/crun/{container_id}/config.json", {"annotations": dict(annotations)})

    def process(self, pid: int, cgroups: str) -> None:
        """Make process *pid* with the lines *cgroups* in its `/proc/PID/cgroup`."""
        self.write(f"/proc/{pid}/cgroup", cgroups)
