"""Requests of rings: counted by opcode; what they open and change is told as of calls."""

import errno
import os
import sys
from pathlib import Path

import pytest

from ethogram.contracts.flags import Access
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

NOP, CONNECT, OPENAT, STATX, OPENAT2, RENAMEAT, UNLINKAT, MKDIRAT, SYMLINKAT, LINKAT = (
    0, 16, 18, 21, 28, 35, 36, 37, 38, 39,
)  # fmt: skip
ASYNC, SKIP_SUCCESS = 1 << 4, 1 << 6
HERE = -100  # AT_FDCWD
WANTED_RING = 4

# Submits requests one by one and prints their results. Arguments: flags of the setup, then for
# each request its opcode, flags, fd, addr, len, off, operation flags, and file index, with `@TEXT`
# for the address of a string.
_RINGS = """
import ctypes, mmap, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
setup_flags, words = int(sys.argv[1]), sys.argv[2:]
params = bytearray(120)
struct.pack_into("<I", params, 8, setup_flags)
buffer = (ctypes.c_char * 120).from_buffer(params)
ring = libc.syscall(425, 4, buffer)
assert ring >= 0, ctypes.get_errno()
entries, cq_entries = struct.unpack_from("<II", params, 0)
sq_head, sq_tail, sq_mask, _, sq_flags, _, sq_array = struct.unpack_from("<7I", params, 40)
cq_head, cq_tail, cq_mask, _, _, cqes = struct.unpack_from("<6I", params, 80)
sq = mmap.mmap(ring, sq_array + entries * 4, offset=0)
cq = mmap.mmap(ring, cqes + cq_entries * 16, offset=0x8000000)
sqes = mmap.mmap(ring, entries * 64, offset=0x10000000)
slots = (ctypes.c_int * 4)(-1, -1, -1, -1)
libc.syscall(427, ring, 2, slots, 4)  # IORING_REGISTER_FILES
keep = []
def number(word):
    if not word.startswith("@"):
        return int(word)
    keep.append(ctypes.create_string_buffer(word[1:].encode()))
    return ctypes.addressof(keep[-1])
wanted = 0
for start in range(0, len(words), 8):
    opcode, flags, fd, addr, size, off, more, slot = map(number, words[start : start + 8])
    if opcode == 28:  # openat2 takes a struct
        how = struct.pack("<QQQ", off, 0, 0)
        keep.append(ctypes.create_string_buffer(how, 24))
        off, size = ctypes.addressof(keep[-1]), 24
    tail = struct.unpack_from("<I", sq, sq_tail)[0]
    index = tail & struct.unpack_from("<I", sq, sq_mask)[0]
    struct.pack_into("<BBHiQQIIQHHi", sqes, index * 64, opcode, flags, 0, fd, off, addr,
                     size & 0xFFFFFFFF, more, 0, 0, 0, slot)
    struct.pack_into("<I", sq, sq_array + index * 4, index)
    struct.pack_into("<I", sq, sq_tail, tail + 1)
    skipped = flags & 64
    wanted += not skipped
    while libc.syscall(426, ring, 1, 0 if skipped else 1, 1 | (setup_flags & 2), None, 0) < 0:
        pass
    while not skipped and struct.unpack_from("<I", cq, cq_tail)[0] < wanted:
        pass
for index in range(wanted):
    print(struct.unpack_from("<Qi", cq, cqes + index * 16)[1])
"""


def _request(
    opcode: int, fd: object = HERE, addr: object = 0, size: object = 0, off: object = 0,
    more: int = 0, slot: int = 0, *, flags: int = 0,
) -> list[str]:  # fmt: skip
    return [str(word) for word in (opcode, flags, fd, addr, size, off, more, slot)]


def _program(*requests: list[str], setup: int = 0) -> list[str]:
    words = [word for request in requests for word in request]
    return [sys.executable, "-S", "-c", _RINGS, str(setup), *words]


@pytest.mark.parametrize("flags", [0, ASYNC], ids=["inline", "by a worker"])
def test_a_file_opened_through_a_ring_is_an_opened_file(
    kernel: Kernel, tmp_path: Path, flags: int
) -> None:
    target = tmp_path / "target"
    target.touch()
    seen = kernel.run(argv=_program(_request(OPENAT, addr=f"@{target}", flags=flags)))
    row = seen.file(str(target))
    assert (row.access, row.errno, row.calls) == (Access.READ, 0, 1)
    assert seen.requests == {"openat": 1}
    assert seen.operations["io_uring_setup", "", 0] == 1
    assert seen.losses == []


def test_a_file_opened_by_the_ring_s_own_thread_is_the_workload_s(
    kernel: Kernel, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.touch()
    seen = kernel.run(argv=_program(_request(OPENAT, addr=f"@{target}"), setup=2))
    assert seen.file(str(target)).access == Access.READ
    assert seen.requests == {"openat": 1}


def test_openat2_has_its_own_flags(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    flags = os.O_WRONLY | os.O_APPEND
    seen = kernel.run(argv=_program(_request(OPENAT2, addr=f"@{target}", off=flags)))
    assert seen.file(str(target)).access == Access.WRITE | Access.APPEND


def test_an_open_that_fails_keeps_its_name_and_errno(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(argv=_program(_request(OPENAT, addr="@absent")), cwd=str(tmp_path))
    row = seen.file(f"{tmp_path}/absent")
    assert (row.asked, row.errno, row.access) == ("absent", errno.ENOENT, Access.READ)


@pytest.mark.parametrize(
    ("slot", "flags"), [(1, 0), (0, SKIP_SUCCESS)], ids=["the ring's own table", "told of nothing"]
)
def test_what_no_descriptor_shows_is_told_by_name_and_counted(
    kernel: Kernel, tmp_path: Path, slot: int, flags: int
) -> None:
    target = tmp_path / "target"
    target.touch()
    request = _request(OPENAT, addr=f"@{target}", slot=slot, flags=flags)
    seen = kernel.run(argv=_program(request))
    row = seen.file(str(target))
    assert (row.access, row.errno) == (Access.READ, 0)
    assert seen.losses == [("unseen", "files", 1)]


def test_names_that_a_ring_changes_are_told(kernel: Kernel, tmp_path: Path) -> None:
    for name in ("moved", "gone", "linked"):
        (tmp_path / name).touch()
    seen = kernel.run(
        argv=_program(
            _request(RENAMEAT, addr="@moved", size=HERE, off="@there"),
            _request(UNLINKAT, addr="@gone"),
            _request(MKDIRAT, addr="@made", size=0o700),
            _request(SYMLINKAT, addr="@target", off="@symlink"),
            _request(LINKAT, addr="@linked", size=HERE, off="@second"),
            _request(UNLINKAT, addr="@made", more=0x200),
            _request(UNLINKAT, addr="@absent"),
        ),
        cwd=str(tmp_path),
    )
    assert seen.changes == {
        (Access.RENAME_FROM, f"{tmp_path}/moved", 0): 1,
        (Access.RENAME_TO, f"{tmp_path}/there", 0): 1,
        (Access.UNLINK, f"{tmp_path}/gone", 0): 1,
        (Access.MAKE | Access.DIRECTORY, f"{tmp_path}/made", 0): 1,
        (Access.SYMLINK, f"{tmp_path}/symlink", 0): 1,
        (Access.LINK, f"{tmp_path}/linked", 0): 1,
        (Access.LINK | Access.MAKE, f"{tmp_path}/second", 0): 1,
        (Access.UNLINK | Access.DIRECTORY, f"{tmp_path}/made", 0): 1,
        (Access.UNLINK, f"{tmp_path}/absent", errno.ENOENT): 1,
    }
    assert seen.losses == []


def test_requests_are_counted_and_not_streamed(kernel: Kernel) -> None:
    seen = kernel.run(argv=_program(*[_request(NOP, fd=0) for _ in range(3)]))
    assert seen.requests == {"nop": 3}
    assert [name for name, _, _ in seen.operations] == ["io_uring_setup"]
