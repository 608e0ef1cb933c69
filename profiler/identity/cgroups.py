"""What the path of a cgroup says: the container, pod, unit or session that it belongs to.

Paths are relative to the mount of the unified hierarchy and begin with `/`. Only the path is
looked at, so a container has a name even when it is gone. The *outermost* container of a path
is meant: whoever may make cgroups inside a container can name them as they like, and must not
be able to name itself after another container by that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from profiler.identity import systemd

__all__ = ["CgroupName", "is_inside", "name_of"]

_HEX_ID = r"[0-9a-f]{64}"
_ANY_ID = r"[A-Za-z0-9_+.-]{1,1024}"  # what runc takes as a container id
_BARE = re.compile(rf"({_HEX_ID})")
_ANY = re.compile(rf"({_ANY_ID})")
# With systemd's driver `PREFIX-ID.scope`, with cgroupfs `PREFIX-ID`, and where containerd was
# given a slice but drives cgroupfs `SLICE:PREFIX:ID`.
_PREFIXED = re.compile(
    rf"(?:[^/:]*\.slice:)?(cri-containerd|crio|docker|libpod|libpod-payload|nerdctl)[-:]({_HEX_ID})"
    r"(?:\.scope)?"
)
_MONITOR = re.compile(rf"(crio-conmon|libpod-conmon)-{_HEX_ID}(?:\.scope)?")
_POD = re.compile(
    r"(?:.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?"
)
_ENGINES = {
    "cri-containerd": "containerd",
    "crio": "crio",
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "nerdctl": "containerd",
}
# Directories that an engine makes at the top, one container a child.
_PARENTS = {"default": "containerd", "k8s.io": "containerd", "moby": "docker", "docker": "docker"}
_NAMED_PARENTS = ("default", "k8s.io")  # where an id is whatever the caller of `ctr` chose

Kind = Literal["container", "pod", "unit", "session", "cgroup", "root"]


@dataclass(frozen=True, slots=True)
class CgroupName:
    """What a cgroup's path alone says.

    `name` is the container id, pod uid, unit, session owner or path. `owner` is the user whose
    part of the tree it lies in: what stands there was written by that user. `engine` is what the
    path's own form tells of the container engine, and `cgroup` the path of the container itself,
    without what lies below it.
    """

    kind: Kind
    name: str
    cgroup: str
    pod_uid: str | None = None
    engine: str | None = None
    owner: str | None = None


def is_inside(path: str, ancestor: str) -> bool:
    """Return whether *path* is *ancestor* or lies below it; nothing counts as below the root."""
    ancestor = ancestor.rstrip("/")
    return bool(ancestor) and (path == ancestor or path.startswith(ancestor + "/"))


def name_of(path: str) -> CgroupName:
    """Return what *path* says; a path that says nothing is of kind `cgroup`, named by itself."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return CgroupName("root", "/", "/")
    owner = systemd.user_of(parts)
    pod_uid = None
    for index, part in enumerate(parts):
        if (found := _container(parts, index, in_pod=pod_uid is not None)) is not None:
            engine, container_id = found
            cgroup = "/" + "/".join(parts[: index + 1])
            return CgroupName("container", container_id, cgroup, pod_uid, engine, owner)
        pod_uid = pod_uid or _pod_uid(part)
    whole = "/" + "/".join(parts)
    if (monitor := _monitor(parts)) is not None:
        return CgroupName("unit", monitor, whole, owner=owner)
    if pod_uid is not None:
        return CgroupName("pod", pod_uid, whole, pod_uid, owner=owner)
    if (unit := systemd.unit_of(parts)) is not None:
        return CgroupName(unit.kind, unit.name, whole, owner=owner)
    return CgroupName("cgroup", whole, whole, owner=owner)


def _container(parts: list[str], index: int, *, in_pod: bool) -> tuple[str | None, str] | None:
    part = parts[index]
    if (prefixed := _PREFIXED.fullmatch(part)) is not None:
        return _ENGINES[prefixed[1]], prefixed[2]
    if _MONITOR.fullmatch(part) is not None:
        return None
    engine = _PARENTS.get(parts[0]) if index == 1 else None
    is_named = index == 1 and parts[0] in _NAMED_PARENTS
    if (bare := _BARE.fullmatch(part)) is not None:
        return engine, bare[1]
    may_be_any = (is_named or in_pod) and not part.endswith((".slice", ".scope"))
    if may_be_any and _pod_uid(part) is None and _ANY.fullmatch(part) is not None:
        return engine, part
    return None


def _monitor(parts: list[str]) -> str | None:
    """Return the name that all monitors of one engine share: each container has one of its own."""
    found = next((hit for part in parts if (hit := _MONITOR.fullmatch(part))), None)
    return f"{found[1]}.scope" if found else None


def _pod_uid(part: str) -> str | None:
    found = _POD.fullmatch(part)
    return found[1].replace("_", "-") if found else None
