"""A cgroup of our own for one run of a command, and what killed recorders left of theirs."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import Self

from ethogram.errors import PreflightError
from profiler.identity.hierarchy import Hierarchy, unified_mount

__all__ = ["PARENT", "OwnCgroup"]

# Only one who may write anywhere can remove what stands in the root cgroup itself, and that
# privilege is given up before the end. The directory between stays.
PARENT = "ethogram"
_RUN = re.compile(r"[0-9a-f]{16}")
_TRIES = 3


class OwnCgroup:
    """A cgroup that is locked as long as its recorder lives, so that no other removes it.

    *path* is relative to the mount of the unified hierarchy, like all paths of cgroups.
    """

    def __init__(self, mount: Path, run_id: str) -> None:
        self.run_id = run_id
        self.path = f"/{PARENT}/{run_id}"
        self._directory = mount / PARENT / run_id
        self._directory.mkdir(mode=0o755)
        self._lock = _lock(self._directory)
        self.id = self._directory.stat().st_ino

    @classmethod
    def make(cls, hierarchy: Hierarchy) -> Self:
        """Make one, and remove those whose recorder was killed; `PreflightError` if it cannot."""
        mount = unified_mount() if hierarchy.mount is None else hierarchy.mount
        parent = mount / PARENT
        try:
            parent.mkdir(mode=0o755, exist_ok=True)
            _sweep(parent)
            for _ in range(_TRIES):
                try:
                    return cls(mount, secrets.token_hex(8))
                except (BlockingIOError, FileNotFoundError):
                    continue  # another recorder took it for one that was left
            return cls(mount, secrets.token_hex(8))
        except OSError as error:
            raise PreflightError(
                f"a cgroup cannot be made in `{parent}`: {error.strerror}",
                hint="run it as root where the cgroup v2 hierarchy is mounted writable",
            ) from error

    def join(self, pid: int) -> None:
        """Move process *pid* in; `ProcessLookupError` where it has ended."""
        (self._directory / "cgroup.procs").write_text(f"{pid}\n")

    def remove(self) -> bool:
        """Remove it with all cgroups below; False if processes live in it."""
        return _remove(self._directory)

    def close(self) -> bool:
        """Give it up, and remove it if it is empty; what `remove` says."""
        is_removed = self.remove()
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child that waits has the descriptor too
            os.close(self._lock)
            self._lock = -1
        return is_removed


def _lock(directory: Path) -> int:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(parent: Path) -> None:
    """Remove what nobody holds and nothing lives in."""
    for left in _children(parent):
        if not _RUN.fullmatch(left.name):
            continue
        try:
            descriptor = _lock(left)
        except OSError:
            continue  # its recorder lives, or it is gone
        _remove(left)
        os.close(descriptor)


def _remove(top: Path) -> bool:
    directories = [top]
    for directory in directories:
        directories.extend(_children(directory))
    for directory in reversed(directories):
        try:
            directory.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _children(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
