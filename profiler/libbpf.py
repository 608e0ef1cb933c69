"""A thin binding to the system's `libbpf.so.1`: objects, programs, maps, links, and its log.

Only what the loader needs, by ctypes, so that the wheel stays pure. Every call that fails raises
`CaptureError` with what libbpf printed (the verifier's log among it) in `log`.
"""

from __future__ import annotations

import ctypes as c
import errno
import os
import struct
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from ethogram.errors import CaptureError, PreflightError

__all__ = [
    "Btf",
    "Link",
    "Map",
    "Object",
    "Program",
    "allows_helper",
    "allows_type",
    "library",
    "possible_cpus",
    "version",
]

_LOG: deque[str] = deque(maxlen=400)
_MESSAGE_SIZE, _LOG_TAIL, _DEBUG = 1 << 21, 1 << 16, 2
_PRINT = c.CFUNCTYPE(c.c_int, c.c_int, c.c_char_p, c.c_void_p)
_KIND_STRUCT, _KIND_VAR, _KIND_DATASEC = 4, 14, 15


class _BtfType(c.Structure):
    _fields_ = (("name_off", c.c_uint32), ("info", c.c_uint32), ("size", c.c_uint32))


class _Triple(c.Structure):
    """btf_var_secinfo (type, offset, size) and btf_member (name_off, type, offset in bits)."""

    _fields_ = (("a", c.c_uint32), ("b", c.c_uint32), ("c", c.c_uint32))


_POINTERS = (
    "bpf_object__open_file", "bpf_object__next_program", "bpf_object__next_map",
    "bpf_object__btf", "bpf_program__attach", "bpf_program__attach_cgroup",
    "bpf_program__attach_iter", "bpf_map__initial_value", "btf__type_by_id", "btf__parse",
    "btf__load_vmlinux_btf",
)  # fmt: skip
_STRINGS = ("bpf_program__name", "bpf_program__section_name", "bpf_map__name",
            "btf__name_by_offset", "libbpf_version_string")  # fmt: skip


@lru_cache(maxsize=1)
def library() -> Any:
    """Return the loaded libbpf; `PreflightError` where the system has none."""
    try:
        lib = c.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise PreflightError(
            "`libbpf.so.1` is not installed",
            hint="install it: `apt-get install libbpf1` (Debian, Ubuntu) or `dnf install libbpf`",
        ) from error
    for name in _POINTERS:
        getattr(lib, name).restype = c.c_void_p
    for name in _STRINGS:
        getattr(lib, name).restype = c.c_char_p
    lib.libbpf_set_print(_keep_log)
    return lib


@lru_cache(maxsize=1)
def _libc() -> Any:
    libc = c.CDLL(None)
    libc.vsnprintf.argtypes = (c.c_char_p, c.c_size_t, c.c_char_p, c.c_void_p)
    return libc


def _print(level: int, fmt: bytes, arguments: int) -> int:
    if level == _DEBUG:  # thousands of messages, one a relocation
        return 0
    # The verifier's log is one message of megabytes, and its end is what matters.
    buffer = c.create_string_buffer(_MESSAGE_SIZE)
    _libc().vsnprintf(buffer, _MESSAGE_SIZE, fmt, arguments)
    _LOG.append(buffer.value[-_LOG_TAIL:].decode("utf-8", "replace"))
    return 0


_keep_log = _PRINT(_print)


def _failed(what: str, code: int | None = None) -> CaptureError:
    number = abs(code) if code else c.get_errno()
    if number in (errno.EMFILE, errno.ENFILE):
        raise PreflightError(
            f"{what}: too many files are open", hint="raise the limit, as with `ulimit -n 1024`"
        )
    reason = errno.errorcode.get(number, str(number))
    return CaptureError(f"{what}: {reason}", log="".join(_LOG) or None)


def version() -> str:
    """Return the version of the system's libbpf, such as `1.1`."""
    text: bytes = library().libbpf_version_string()
    return text.decode().removeprefix("v")


def possible_cpus() -> int:
    """Return the number of CPUs that per-CPU maps hold a value for."""
    return int(library().libbpf_num_possible_cpus())


def allows_helper(program_type: int, helper: int) -> bool:
    """Say whether programs of this type may call this helper: libbpf tries to load one."""
    return int(library().libbpf_probe_bpf_helper(program_type, helper, None)) == 1


def allows_type(program_type: int) -> bool:
    """Say whether the kernel takes programs of this type: libbpf tries to load one."""
    return int(library().libbpf_probe_bpf_prog_type(program_type, None)) == 1


class Btf:
    """Type information of an object file or of the running kernel."""

    def __init__(self, handle: int) -> None:
        self._handle = c.c_void_p(handle)

    @classmethod
    def of_file(cls, path: Path) -> Btf:
        """Parse the BTF of *path*; needs no privilege."""
        handle = library().btf__parse(os.fsencode(path), None)
        if not handle:
            raise _failed(f"`{path}` has no readable BTF")
        return cls(handle)

    @classmethod
    def of_kernel(cls) -> Btf:
        """Parse the running kernel's; `PreflightError` where it has none."""
        handle = library().btf__load_vmlinux_btf()
        if not handle:
            raise PreflightError(
                "the kernel has no BTF",
                hint="use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or `--loader bcc`",
            )
        return cls(handle)

    def close(self) -> None:
        """Free it: the kernel's takes several MiB. Of an object's own, `Object.close` does."""
        library().btf__free(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def has(self, name: str, kind: int) -> bool:
        """Does it have a type *name* of BTF kind *kind* (8 is a typedef)?"""
        return int(library().btf__find_by_name_kind(self._handle, name.encode(), kind)) > 0

    def _members(self, name: str, kind: int) -> tuple[int, Iterator[_Triple]]:
        lib = library()
        number = lib.btf__find_by_name_kind(self._handle, name.encode(), kind)
        if number < 0:
            raise KeyError(name)
        address = lib.btf__type_by_id(self._handle, number)
        head = _BtfType.from_address(address)
        members = (_Triple * (head.info & 0xFFFF)).from_address(address + c.sizeof(_BtfType))
        return head.size, iter(members)

    def _name(self, offset: int) -> str:
        text: bytes = library().btf__name_by_offset(self._handle, offset)
        return text.decode()

    def struct(self, name: str) -> tuple[int, dict[str, int]]:
        """Return (size, offset of each member in bytes) of struct *name*; `KeyError` if none."""
        size, members = self._members(name, _KIND_STRUCT)
        return size, {self._name(member.a): member.c // 8 for member in members}

    def variables(self, section: str) -> dict[str, tuple[int, int]]:
        """Return name -> (offset, size) of the variables of a data *section*."""
        lib = library()
        _, members = self._members(section, _KIND_DATASEC)
        found = {}
        for member in members:
            variable = _BtfType.from_address(lib.btf__type_by_id(self._handle, member.a))
            found[self._name(variable.name_off)] = (member.b, member.c)
        return found


class Link:
    """An attached program; `close` detaches it."""

    def __init__(self, handle: int) -> None:
        self._handle: c.c_void_p | None = c.c_void_p(handle)

    @property
    def fd(self) -> int:
        return int(library().bpf_link__fd(self._handle))

    def close(self) -> None:
        if self._handle is not None:
            library().bpf_link__destroy(self._handle)
            self._handle = None


class Program:
    """One program of an object."""

    def __init__(self, handle: int) -> None:
        self._handle = c.c_void_p(handle)
        lib = library()
        self.name: str = lib.bpf_program__name(self._handle).decode()
        self.section: str = lib.bpf_program__section_name(self._handle).decode()

    @property
    def fd(self) -> int:
        return int(library().bpf_program__fd(self._handle))

    def set_autoload(self, is_wanted: bool) -> None:
        library().bpf_program__set_autoload(self._handle, c.c_bool(is_wanted))

    def attach(self) -> Link:
        """Attach to the hook that the section names."""
        return self._linked(library().bpf_program__attach(self._handle))

    def attach_cgroup(self, cgroup_fd: int) -> Link:
        """Attach to a cgroup of the unified hierarchy, beside what others attached there."""
        return self._linked(library().bpf_program__attach_cgroup(self._handle, cgroup_fd))

    def run_iterator(self) -> None:
        """Attach an iterator, read it to its end, and detach it."""
        lib = library()
        link = self._linked(lib.bpf_program__attach_iter(self._handle, None))
        try:
            fd = lib.bpf_iter_create(link.fd)
            if fd < 0:
                raise _failed(f"iterator `{self.name}` did not start", fd)
            with os.fdopen(fd, "rb", buffering=0) as stream:
                while stream.read(65536):
                    pass
        finally:
            link.close()

    def _linked(self, handle: int | None) -> Link:
        if not handle:
            raise _failed(f"program `{self.name}` did not attach to `{self.section}`")
        return Link(handle)


class Map:
    """One map, by its file descriptor."""

    def __init__(self, handle: int) -> None:
        lib = library()
        self._handle = c.c_void_p(handle)
        self.name: str = lib.bpf_map__name(self._handle).decode()
        self.key_size = int(lib.bpf_map__key_size(self._handle))
        self.value_size = int(lib.bpf_map__value_size(self._handle))

    @property
    def fd(self) -> int:
        return int(library().bpf_map__fd(self._handle))

    @property
    def max_entries(self) -> int:
        return int(library().bpf_map__max_entries(self._handle))

    def resize(self, max_entries: int) -> None:
        """Set the capacity; only before the object is loaded."""
        library().bpf_map__set_max_entries(self._handle, max_entries)

    def initial_bytes(self) -> c.Array[c.c_char]:
        """Return the initial value of a data section, writable until the object is loaded."""
        size = c.c_size_t()
        address = library().bpf_map__initial_value(self._handle, c.byref(size))
        return (c.c_char * size.value).from_address(address)

    def lookup_into(self, key: bytes, buffer: c.Array[c.c_char]) -> bool:
        """Read the value of *key* into *buffer* (all CPUs' for a per-CPU map)."""
        return int(library().bpf_map_lookup_elem(self.fd, key, buffer)) == 0

    def read_array(self, first: int, number: int, size: int) -> bytearray:
        """Return *number* values of an array from index *first* on, each of *size* bytes.

        That is all CPUs' for a per-CPU array, whose values are read in one call since Linux commit
        f008d732ab18 ("bpf: Add batched ops support for percpu array") (v5.13).
        """
        values = bytearray(number * size)
        room = (c.c_char * len(values)).from_buffer(values)
        before = c.byref(c.c_uint32(first - 1)) if first else None
        keys, following, count = (c.c_uint32 * number)(), c.c_uint32(0), c.c_uint32(number)
        code = library().bpf_map_lookup_batch(
            self.fd, before, c.byref(following), keys, room, c.byref(count), None
        )
        if count.value == number and code in (0, -errno.ENOENT):  # that is the array's end
            return values
        for index in range(number):
            key, one = struct.pack("<I", first + index), (c.c_char * size)()
            if not self.lookup_into(key, one):
                raise _failed(f"map `{self.name}` could not be read")
            values[index * size : (index + 1) * size] = one.raw
        return values

    def update(self, key: bytes | None, value: bytes) -> None:
        """Set *key* to *value*; a queue has no key."""
        code = library().bpf_map_update_elem(self.fd, key, value, c.c_uint64(0))
        if code:
            raise _failed(f"map `{self.name}` took no entry", code)

    def delete(self, key: bytes) -> bool:
        """Delete *key*; False where it was not there."""
        return int(library().bpf_map_delete_elem(self.fd, key)) == 0

    def delete_all(self, keys: bytes) -> None:
        """Delete these keys, one after the other, which are all there."""
        count = c.c_uint32(len(keys) // self.key_size)
        code = library().bpf_map_delete_batch(self.fd, keys, c.byref(count), None)
        if code:
            raise _failed(f"entries of map `{self.name}` could not be deleted", code)

    def read(self) -> tuple[bytes, bytes]:
        """Return all (keys, values) of a hash map, in batches."""
        call = library().bpf_map_lookup_batch
        fd, room = self.fd, 8192
        keys, values = bytearray(), bytearray()
        position, following, is_first = c.c_uint64(0), c.c_uint64(0), True
        while True:
            key_room = c.create_string_buffer(room * self.key_size)
            value_room = c.create_string_buffer(room * self.value_size)
            count = c.c_uint32(room)
            begin = None if is_first else c.byref(position)
            code = call(fd, begin, c.byref(following), key_room, value_room, c.byref(count), None)
            number = -code
            if number == errno.ENOSPC:  # one bucket holds more than there is room for
                room *= 2
                continue
            if number not in (0, errno.ENOENT):
                raise _failed(f"map `{self.name}` could not be read", code)
            keys += memoryview(key_room)[: count.value * self.key_size]
            values += memoryview(value_room)[: count.value * self.value_size]
            if number == errno.ENOENT:
                return bytes(keys), bytes(values)
            position, following, is_first = following, c.c_uint64(0), False


class Object:
    """A BPF object file: open it, set it up, load it, close it."""

    def __init__(self, path: Path) -> None:
        lib = library()
        _LOG.clear()
        handle = lib.bpf_object__open_file(os.fsencode(path), None)
        if not handle:
            raise _failed(f"`{path}` is no BPF object")
        self._handle: c.c_void_p | None = c.c_void_p(handle)
        self.btf = Btf(lib.bpf_object__btf(self._handle))
        self.programs = {program.name: program for program in self._programs()}
        self.maps = {bpf_map.name: bpf_map for bpf_map in self._maps()}

    def _programs(self) -> Iterator[Program]:
        at: int | None = None
        while at := library().bpf_object__next_program(self._handle, c.c_void_p(at)):
            yield Program(at)

    def _maps(self) -> Iterator[Map]:
        at: int | None = None
        while at := library().bpf_object__next_map(self._handle, c.c_void_p(at)):
            yield Map(at)

    def configure(self, values: dict[str, bytes]) -> None:
        """Set `const volatile` variables by name; only before loading. `KeyError` if none."""
        rodata = next(m for name, m in self.maps.items() if name.endswith(".rodata"))
        room, variables = rodata.initial_bytes(), self.btf.variables(".rodata")
        for name, value in values.items():
            offset, size = variables[name]
            if len(value) != size:
                raise ValueError(f"`{name}` has {size} bytes, not {len(value)}")
            c.memmove(c.addressof(room) + offset, value, size)

    def load(self) -> None:
        """Load every program that is wanted; `CaptureError` carries the verifier's log."""
        code = library().bpf_object__load(self._handle)
        if code:
            raise _failed("the BPF programs did not load", code)

    def close(self) -> None:
        if self._handle is not None:
            library().bpf_object__close(self._handle)
            self._handle = None
