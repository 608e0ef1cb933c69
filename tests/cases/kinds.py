"""The kinds of containers that cases run in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.oci import DOCKER_CAPABILITIES, Pod, Spec, bind
from ethogram.contracts.capabilities import CAPABILITIES
from tests.cases.catalogue import Kind
from tests.cases.image import SERVICE

__all__ = ["CONTAINER_KINDS", "spec_of", "workload_of"]

CONTAINER_KINDS: tuple[Kind, ...] = ("c", "nonroot", "priv", "privhost")
PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMAND = ("/usr/bin/python3", SERVICE)


@dataclass(frozen=True, kw_only=True)
class PrivilegedSpec(Spec):
    """What `--privileged` gives: nothing masked, nothing read-only, every device."""

    def config(self, root: Path, *, container_id: str, has_cgroups: bool) -> dict[str, Any]:
        config = super().config(root, container_id=container_id, has_cgroups=has_cgroups)
        for name in ("maskedPaths", "readonlyPaths"):
            config["linux"][name] = []
        if has_cgroups:
            config["linux"]["resources"] = {"devices": [{"allow": True, "access": "rwm"}]}
        for mount in config["mounts"]:
            if mount["destination"] == "/sys":
                mount["options"] = [word for word in mount["options"] if word != "ro"]
        return config


def workload_of(kind: Kind) -> str:
    """Return the name of the Deployment whose pods are of *kind*."""
    return "cases-c" if kind == "host_runcexec" else f"cases-{kind}"


def spec_of(kind: Kind, pod: Pod, jobs: Sequence[tuple[str, str]] = ()) -> Spec:
    """Return a container of *kind* with the benign service, which will run *jobs*.

    A job is an id and a script. Raises ValueError for a kind that is no container.
    """
    common: dict[str, Any] = {
        "env": {"JOBS": json.dumps(jobs), "PATH": PATH},
        "no_new_privileges": False,  # as Docker and Kubernetes start containers by default
        "pod": pod,
        "hostname": pod.name,
    }
    match kind:
        case "c" | "host_runcexec":
            return Spec(COMMAND, capabilities=DOCKER_CAPABILITIES, **common)
        case "nonroot":
            return Spec(COMMAND, capabilities=(), uid=1000, gid=1000, **common)
        case "priv":
            return PrivilegedSpec(COMMAND, capabilities=_ours(), **common)
        case "privhost":
            common |= {"host_namespaces": ("pid",), "mounts": [bind(Path("/"), "/mnt")]}
            return PrivilegedSpec(COMMAND, capabilities=_ours(), **common)
        case _:
            raise ValueError(f"`{kind}` is no kind of container")


def _ours() -> list[str]:
    """Return the capabilities that this process may hand on: here a runtime can give no others."""
    lines = Path("/proc/self/status").read_text().splitlines()
    bounding = next(int(line.split()[1], 16) for line in lines if line.startswith("CapBnd:"))
    return [name for number, name in enumerate(CAPABILITIES) if bounding >> number & 1]
