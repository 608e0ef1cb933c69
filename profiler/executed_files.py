"""The file of an executable, opened again through a process, and known to be the same."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Executed", "NotReadError", "is_same", "kind_in", "opened"]

_PROC = Path("/proc")
# File systems that nobody but this kernel serves: reading others may wait for whoever does.
_LOCAL = frozenset({
    "bcachefs", "btrfs", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660",
    "overlay", "ramfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
})  # fmt: skip
# Their stat(2) has other numbers than the inode: overlays those of a layer, btrfs a subvolume's.
_OTHER_NUMBERS = frozenset({"overlay", "btrfs", "bcachefs"})
_MINOR_BITS = 20
_PATH, _FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class NotReadError(Exception):
    """Why a file was not read, in the words of `executables.sha256_missing`."""


@dataclass(frozen=True, slots=True)
class Executed:
    """What the kernel side said of an executable; *processes* may run it, or see its path."""

    path: bytes
    dev: int
    ino: int
    ctime_ns: int
    is_memory: bool
    processes: tuple[int, ...]


@contextmanager
def opened(one: Executed) -> Iterator[tuple[int, str]]:
    """Yield a descriptor of *one* for reading, and its type of file system; `NotReadError`.

    Nothing but a regular file is opened, no link is followed, and no path leaves the root of the
    process that it is looked up for.
    """
    kind = "tmpfs" if one.is_memory else _kind_of(one)
    if kind not in _LOCAL:
        raise NotReadError("gone" if kind is None else "not local")
    seen = "gone"
    for found, is_by_name in _found(one):
        try:
            status = os.fstat(found)
            if not stat.S_ISREG(status.st_mode) or not is_same(one, kind, status):
                seen = "changed" if is_by_name else seen
                continue
            descriptor = os.open(f"/proc/self/fd/{found}", _FLAGS)
        except OSError:
            seen = "unreadable"
            continue
        finally:
            os.close(found)
        try:
            yield descriptor, kind
        finally:
            os.close(descriptor)
        return
    raise NotReadError(seen)


def is_same(one: Executed, kind: str, status: os.stat_result) -> bool:
    """Return whether *status* is of the file that was executed, unchanged."""
    if status.st_ctime_ns != one.ctime_ns:
        return False
    number = os.major(status.st_dev) << _MINOR_BITS | os.minor(status.st_dev)
    return kind in _OTHER_NUMBERS or (status.st_ino, number) == (one.ino, one.dev)


def _found(one: Executed) -> Iterator[tuple[int, bool]]:
    """Yield descriptors of what may be the file, and whether it was found by its name.

    They are the caller's to close. What a process runs may be another program by now.
    """
    for process in one.processes:
        with suppress(OSError):
            yield os.open(_PROC / str(process) / "exe", os.O_PATH | os.O_CLOEXEC), False
    if one.is_memory or not one.path.startswith(b"/"):
        return
    for process in one.processes:
        with suppress(OSError):
            yield _below_root(process, one.path), True


def _below_root(process: int, path: bytes) -> int:
    """Return a descriptor of *path*, which has no links, in the root of *process*."""
    names = [name for name in path.split(b"/") if name]
    if b".." in names or not names:
        raise FileNotFoundError
    current = os.open(_PROC / str(process) / "root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for index, name in enumerate(names):
        is_last = index == len(names) - 1
        try:
            following = os.open(name, _PATH | (0 if is_last else os.O_DIRECTORY), dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current


def _kind_of(one: Executed) -> str | None:
    """Return the type of the file system, as a process has it mounted; None: none has it."""
    for process in one.processes:
        with suppress(OSError):
            mounts = (_PROC / str(process) / "mountinfo").read_bytes()
            if (kind := kind_in(mounts, one.dev)) is not None:
                return kind
    return None


def kind_in(mounts: bytes, dev: int) -> str | None:
    """Return the type of file system *dev* as *mounts*, a `mountinfo`, has it; None: it has none.

    Names in it are a workload's: of all white space the kernel escapes no more than separates here.
    """
    number = b"%d:%d" % (dev >> _MINOR_BITS, dev & (1 << _MINOR_BITS) - 1)
    for line in mounts.split(b"\n"):
        words = line.split(b" ")
        if words[2:3] == [number]:
            after = iter(words)
            kind = next((next(after, b"") for word in after if word == b"-"), b"")
            return kind.decode("ascii", "replace")
    return None
