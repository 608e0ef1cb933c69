"""The cgroup hierarchies of this host: from an id or a process to a path.

The id of a cgroup is its inode under the mount of the unified hierarchy, which is all of
`/sys/fs/cgroup` on a pure v2 host and `/sys/fs/cgroup/unified` on a hybrid one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ethogram.errors import PreflightError
from profiler.identity.reading import below, read_bytes

__all__ = ["Hierarchy", "ProcessCgroups", "unified_mount"]

Mode = Literal["unified", "hybrid", "legacy"]

# A container that makes cgroups without end must not make us walk without end.
_WALK_LIMIT = 65_536
_MOUNTS: tuple[tuple[Mode, str], ...] = (("unified", ""), ("hybrid", "unified"))
_REMOVED = " (deleted)"


@dataclass(frozen=True, slots=True)
class ProcessCgroups:
    """Where one process is: its path in the unified hierarchy, and by controller in v1's."""

    unified: str | None
    legacy: Mapping[str, str] = field(default_factory=dict)


def unified_mount(root: Path = Path("/")) -> Path:
    """Return where the unified hierarchy is mounted; PreflightError if it is not."""
    _, mount = _mounted(root)
    if mount is None:
        raise PreflightError(
            "no cgroup v2 hierarchy is mounted",
            hint="mount it: `mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`",
        )
    return mount


def _mounted(root: Path) -> tuple[Mode, Path | None]:
    base = below(root, "/sys/fs/cgroup")
    for mode, mount in _MOUNTS:
        if (base / mount / "cgroup.controllers").exists():
            return mode, base / mount
    return "legacy", None


class Hierarchy:
    """The cgroups below *root*'s `/sys/fs/cgroup`, looked up by id and by process."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self.mode, self.mount = _mounted(root)
        self._paths: dict[int, str] = {}

    def id_of(self, path: str) -> int | None:
        """Return the id of the cgroup *path*; None if there is no such cgroup now."""
        if self.mount is None:
            return None
        try:
            found = below(self.mount, path).stat()
        except (OSError, ValueError):
            return None
        return found.st_ino

    def path_of(self, cgroup_id: int) -> str | None:
        """Return the path of the cgroup with this id; None if there is no such cgroup now."""
        known = self._paths.get(cgroup_id)
        if known is not None and self.id_of(known) == cgroup_id:
            return known
        self._paths = {number: path for path, number in self.walk()}
        return self._paths.get(cgroup_id)

    def walk(self) -> Iterator[tuple[str, int]]:
        """Yield path and id of every cgroup, parents first, at most 65,536 of them."""
        root_id = self.id_of("/")
        if self.mount is None or root_id is None:
            return
        yield "/", root_id
        queue, seen = [""], 1
        for path in queue:
            for name, inode in _children(below(self.mount, path)):
                if seen >= _WALK_LIMIT:
                    return
                seen += 1
                yield f"{path}/{name}", inode
                queue.append(f"{path}/{name}")

    def of_process(self, pid: int) -> ProcessCgroups:
        """Return where process *pid* is; nothing at all when it is gone."""
        content = read_bytes(below(self._root, f"/proc/{pid}/cgroup"))
        # Names in it may be a workload's: nothing but a line feed, which is escaped, ends a line.
        unified: str | None = None
        legacy: dict[str, str] = {}
        for line in (content or b"").decode("utf-8", "surrogateescape").split("\n"):
            number, _, rest = line.partition(":")
            controllers, separator, path = rest.partition(":")
            if not separator:
                continue
            path = path.removesuffix(_REMOVED)
            if number == "0" and not controllers:
                unified = path
            else:
                legacy |= dict.fromkeys(controllers.split(","), path)
        return ProcessCgroups(unified, legacy)

    def mount_namespace_of(self, pid: int) -> int | None:
        """Return the inode of the mount namespace of *pid*; None if it is gone or not ours."""
        try:
            target = below(self._root, f"/proc/{pid}/ns/mnt").readlink().name
        except (OSError, ValueError):
            return None
        number = target.removeprefix("mnt:[").removesuffix("]")
        return int(number) if number.isascii() and number.isdigit() else None


def _children(directory: Path) -> list[tuple[str, int]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(
                (entry.name, entry.inode())
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
            )
    except (OSError, ValueError):
        return []
