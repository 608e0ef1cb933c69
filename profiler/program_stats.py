"""What the kernel counts about a loaded program."""

from __future__ import annotations

import ctypes as c
from functools import lru_cache

from profiler.libbpf import Btf, library

__all__ = ["recursion_misses"]

_INFO_SIZE = 512


@lru_cache(maxsize=1)
def _place() -> int | None:
    try:
        _, offsets = Btf.of_kernel().struct("bpf_prog_info")
    except KeyError:
        return None
    return offsets.get("recursion_misses")


def recursion_misses(program_fd: int) -> int:
    """Return how often the program did not run because it ran already on that CPU.

    Counted since Linux commit 9ed9e9ba2337 ("bpf: Count the number of times recursion was
    prevented") (v5.12); 0 where the kernel does not count.
    """
    place = _place()
    if place is None:
        return 0
    info, size = c.create_string_buffer(_INFO_SIZE), c.c_uint32(_INFO_SIZE)
    if library().bpf_obj_get_info_by_fd(program_fd, info, c.byref(size)):
        return 0
    return int.from_bytes(info.raw[place : place + 8], "little")
