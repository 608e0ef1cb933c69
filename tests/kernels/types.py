"""What an object finds in the types of a kernel that does not run here: libbpf says it."""

from __future__ import annotations

import ctypes as c
import re
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Found", "kernel_types", "relocated"]

_MAGIC = b"\x9f\xeb\x01\x00"
_LEAST = 1 << 20  # a kernel's own are megabytes; modules and tests have small ones
_PRINT = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)


class _OpenOptions(c.Structure):
    _fields_ = (
        ("size", c.c_size_t), ("object_name", c.c_char_p), ("relaxed_maps", c.c_bool),
        ("pin_root_path", c.c_char_p), ("unused", c.c_uint32), ("kconfig", c.c_char_p),
        ("btf_custom_path", c.c_char_p),
    )  # fmt: skip


class Found:
    """How many places look into the kernel, and the names of what *missing* ones look for."""

    def __init__(self, lines: list[str]) -> None:
        sought: dict[tuple[str, str], str] = {}
        self.missing: set[str] = set()
        for line in lines:
            match = re.match(r"libbpf: prog '(\w+)': relo #(\d+): (.*)", line)
            if match is None:
                continue
            place, said = (match[1], match[2]), match[3]
            if said.startswith("<"):
                sought[place] = said
            elif said.startswith("no matching targets"):
                self.missing.add(sought[place])
        self.places = len(sought)
        self.missing = {re.sub(r"^<\w+> \[\d+\] struct ([^ ]+).*", r"\1", one)
                        for one in self.missing}  # fmt: skip


def kernel_types(image: Path, target: Path) -> Path:
    """Write the types that an uncompressed kernel *image* holds to *target*."""
    data = image.read_bytes()
    for match in re.finditer(re.escape(_MAGIC), data):
        length, _, types, at, names = struct.unpack_from("<5I", data, match.start() + 4)
        if length == 24 and at == types > _LEAST:
            target.write_bytes(data[match.start() : match.start() + length + at + names])
            return target
    raise ValueError(f"no types in `{image}`")


def relocated(path: Path, types: Path) -> Found:
    """Let libbpf relocate the object of *path* for the kernel of *types*; loading it then fails."""
    lib, libc, lines = c.CDLL("libbpf.so.1"), c.CDLL(None), list[str]()
    libc.vsnprintf.argtypes = (c.c_char_p, c.c_size_t, c.c_char_p, c.c_void_p)
    line = c.create_string_buffer(1 << 16)

    def keep(_level: int, text: bytes, arguments: int) -> int:
        libc.vsnprintf(line, len(line), text, arguments)
        lines.append(line.value.decode("utf-8", "replace"))
        return 0

    kept = _PRINT(keep)
    lib.libbpf_set_print.restype = c.c_void_p
    before = lib.libbpf_set_print(kept)
    try:
        lib.bpf_object__open_file.restype = c.c_void_p
        options = _OpenOptions(
            size=c.sizeof(_OpenOptions), btf_custom_path=str(types).encode()
        )  # fmt: skip
        opened = c.c_void_p(lib.bpf_object__open_file(str(path).encode(), c.byref(options)))
        assert opened.value, "".join(lines)
        lib.bpf_object__load(opened)
        lib.bpf_object__close(opened)
    finally:
        lib.libbpf_set_print(c.c_void_p(before))
    return Found([one for text in lines for one in _split(text)])


def _split(text: str) -> Iterator[str]:
    yield from text.splitlines()
