"""Files that are whole or absent: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["TEMPORARY_SUFFIX", "create_file", "replace_file", "sync_directory", "write_all"]

TEMPORARY_SUFFIX = ".tmp"


def create_file(path: Path, *, mode: int = 0o600) -> int:
    """Return a descriptor of the new file *path*, writable; `FileExistsError` if it is there.

    Links are not followed: a prepared link in the directory cannot divert the write.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, mode)


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of *data*; a short write is continued, so that a full disk raises `OSError`."""
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.write(descriptor, view[written:])


def sync_directory(directory: Path) -> None:
    """Make renames and new names in *directory* survive a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Make *path* hold *data*: a reader sees the old content or the new, never a part.

    On `OSError` the old file is untouched and nothing is left beside it; what is no file, such as
    `/dev/null`, is never replaced by one. Without *sync*, only a power loss can lose the new
    content; a killed process cannot.
    """
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EEXIST
        raise OSError(code, os.strerror(code), str(path))
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    descriptor = create_file(temporary, mode=mode)
    try:
        try:
            write_all(descriptor, data)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)
