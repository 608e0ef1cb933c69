"""What is to be recorded: cgroups that are named now, or workloads that are chosen by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ethogram.errors import UsageError
from profiler.identity.cgroups import is_inside, name_of
from profiler.identity.hierarchy import Hierarchy
from profiler.identity.model import Identity

__all__ = ["TargetKind", "Targets", "Verdict"]

TargetKind = Literal["all", "container", "pod", "namespace", "unit", "cgroup", "command"]
Verdict = Literal["wanted", "unwanted", "pending"]


@dataclass(frozen=True, slots=True)
class Targets:
    """One kind of target and its names; a command's names are its arguments.

    `container`, `unit` and `cgroup` must exist now, and are followed when they are restarted: when
    their cgroup is removed and made again. `pod` (NAMESPACE/NAME) and `namespace` choose
    whatever bears the name, now and later.
    """

    kind: TargetKind
    values: tuple[str, ...] = ()

    @property
    def records_by_default(self) -> bool:
        """May a cgroup be recorded that is not known yet?"""
        return self.kind in ("all", "pod", "namespace")

    def choose(self, identity: Identity, path: str | None) -> Verdict:
        """Say whether a workload of this identity, in the cgroup *path*, is to be recorded.

        The kernel side also sees who shares a mount namespace with a target: the runtime on its
        way into a container, and others, who are not meant.
        """
        if self.kind == "all":
            return "wanted"
        if self.kind in ("container", "unit", "cgroup", "command"):
            # Where it is may be lost; then the kernel side, which found it meant, is believed.
            return "wanted" if path is None else self._is_named(identity, path)
        if identity.namespace is None:
            return "pending" if identity.state == "pending" else "unwanted"
        if self.kind == "namespace":
            return "wanted" if identity.namespace in self.values else "unwanted"
        names = {f"{identity.namespace}/{name}" for name in (identity.pod, identity.name)}
        return "wanted" if names & set(self.values) else "unwanted"

    def _is_named(self, identity: Identity, path: str) -> Verdict:
        if self.kind != "command":
            return "wanted" if self._is_below(path) else "unwanted"
        if identity.source == "command" or identity.container_id is not None:
            return "wanted"  # a command may start containers, which have cgroups elsewhere
        return "pending" if identity.state == "pending" else "unwanted"

    def _is_below(self, path: str) -> bool:
        """Return whether *path*, or a cgroup above it, is one that is named."""
        parts = [part for part in path.split("/") if part]
        above = ["/" + "/".join(parts[:end]) for end in range(1, len(parts) + 1)] or ["/"]
        return any(self._is_meant(value, one) for value in self.values for one in above)

    def cgroups(self, hierarchy: Hierarchy) -> list[tuple[str, int]]:
        """Return path and id of every cgroup that is named, and of those below it.

        `UsageError` names a container, unit or cgroup that does not exist.
        """
        if self.kind not in ("container", "unit", "cgroup"):
            return []
        known = list(hierarchy.walk())
        chosen: dict[str, int] = {}
        for value in self.values:
            roots = [path for path, _ in known if self._is_meant(value, path)]
            if not roots:
                raise self._missing(value)
            if self.kind == "container" and len({_container(path) for path in roots}) > 1:
                raise UsageError(
                    f"`{value}` begins the id of more than one container",
                    hint="give more of the id",
                )
            for path, number in known:
                if any(is_inside(path, root) for root in roots):
                    chosen[path] = number
        return sorted(chosen.items())

    @staticmethod
    def roots(cgroups: Sequence[tuple[str, int]]) -> frozenset[str]:
        """Return the paths of *cgroups*, as `cgroups` gives them, that lie below none of them."""
        paths = {path for path, _ in cgroups}
        return frozenset(path for path in paths if path == "/" or _above(path) not in paths)

    def _is_meant(self, value: str, path: str) -> bool:
        if self.kind == "cgroup":
            return path == "/" + _below_mount(value).strip("/")
        if self.kind == "unit":
            name = value if "." in value else f"{value}.service"
            return path.rpartition("/")[2] == name
        return bool(value) and _container(path).startswith(value)

    def _missing(self, value: str) -> UsageError:
        hints = {
            "container": "give its id, not its name: `runc list`, `podman ps` and `crictl ps` list "
            "them; or use `--namespace` to wait for one",
            "unit": "list them with `systemctl list-units`",
            "cgroup": "name it as below the cgroup mount, such as `/system.slice/nginx.service`",
        }
        return UsageError(f"there is no {self.kind} `{value}`", hint=hints[self.kind])


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _container(path: str) -> str:
    name = name_of(path)
    if name.kind == "container":
        return name.name
    return path.rpartition("/")[2] if name.kind == "cgroup" else ""


def _below_mount(value: str) -> str:
    for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if value == mount or value.startswith(mount + os.sep):
            return value.removeprefix(mount)
    return value
