"""The program that a kernel may take and never run: it is tried by what it does."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ethogram.errors import CaptureError
from profiler.libbpf import Link, Object, allows_type

__all__ = ["FILE_OPENED", "NOT_TAKEN", "OPTIONAL_PROGRAMS", "attach_file_opened", "is_taken"]

FILE_OPENED = "file_opened"
# Kernels may refuse these hooks: no tier counts on them, and missing them makes nothing blind.
OPTIONAL_PROGRAMS = frozenset({FILE_OPENED, "capability_returned"})
NOT_TAKEN = "the kernel takes no program of security modules"
_LSM = 29  # enum bpf_prog_type


def is_taken() -> bool:
    """Say whether the kernel loads programs of security modules at all: trying takes no time."""
    return allows_type(_LSM)


def attach_file_opened(loaded: Object) -> Link:
    """Attach it and open a file; `CaptureError` where that was refused, or not asked about.

    A kernel that has the hook calls it only where `bpf` is among its active security modules.
    """
    link = loaded.programs[FILE_OPENED].attach()
    Path(os.devnull).read_bytes()
    if _was_asked(loaded):
        return link
    link.close()
    raise CaptureError(
        f"program `{FILE_OPENED}` is never asked: `bpf` is not an active security module"
    )


def _was_asked(loaded: Object) -> bool:
    bss = next(one for name, one in loaded.maps.items() if name.endswith(".bss"))
    value = ctypes.create_string_buffer(bss.value_size)
    offset, size = loaded.btf.variables(".bss")["file_open_asked"]
    return bss.lookup_into(bytes(4), value) and any(value.raw[offset : offset + size])
