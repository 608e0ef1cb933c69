"""What the kernel counts about a loaded program."""

from __future__ import annotations

import ctypes as c

from profiler.libbpf import library

__all__ = ["recursion_misses"]

_INFO_SIZE = 512
# Offset of `recursion_misses` in struct bpf_prog_info of <linux/bpf.h>, whose fields never move.
_PLACE = 208


def recursion_misses(program_fd: int) -> int:
    """Return how often the program did not run because it ran already on that CPU.

    Counted since Linux commit 9ed9e9ba2337 ("bpf: Count the number of times recursion was
    prevented") (v5.12); 0 where the kernel does not count.
    """
    info, size = c.create_string_buffer(_INFO_SIZE), c.c_uint32(_INFO_SIZE)
    if library().bpf_obj_get_info_by_fd(program_fd, info, c.byref(size)):
        return 0
    if size.value < _PLACE + 8:  # an older kernel's struct ends before it
        return 0
    return int.from_bytes(info.raw[_PLACE : _PLACE + 8], "little")
