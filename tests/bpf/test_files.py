"""Opened files: resolved paths that are whole, what was asked for, how, and in which layer."""

import errno
import os
import sys
from pathlib import Path

import pytest

from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import Access
from tests.bpf.conftest import Kernel
from tests.workloads import known

pytestmark = pytest.mark.bpf


def test_an_opened_file_has_its_path_and_access(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "data"
    seen = kernel.run(["open", target, "wc"], ["openat", target, "r"])
    accesses = {row.access: row.calls for row in seen.files if row.path == str(target)}
    assert accesses == {Access.WRITE | Access.CREATE: 1, Access.READ: 1}


def test_opens_are_counted_and_their_path_is_sent_once(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.touch()
    seen = kernel.run(["repeat", 23, [["openat", target, "r"]]])
    assert seen.file(str(target)).calls == 23


def test_a_symlink_is_resolved_and_what_was_asked_is_kept(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    row = kernel.run(["openat", tmp_path / "link", "r"]).file(str(tmp_path / "real"))
    assert row.asked == str(tmp_path / "link")


def test_a_relative_path_is_resolved(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    seen = kernel.run(["chdir", tmp_path], ["open", "data", "r"])
    assert seen.file(str(tmp_path / "data")).asked == "data"


def test_hard_links_are_two_files(kernel: Kernel, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.hardlink_to(first)
    seen = kernel.run(["open", first, "r"], ["open", second, "r"])
    assert {row.path for row in seen.files} == {str(first), str(second)}


def test_a_failed_open_keeps_what_was_asked_and_why(kernel: Kernel, tmp_path: Path) -> None:
    row = kernel.run(["openat", tmp_path / "absent", "r"]).file(str(tmp_path / "absent"))
    assert (row.path, row.errno) == (str(tmp_path / "absent"), errno.ENOENT)


def test_a_deep_path_is_whole(kernel: Kernel, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*[f"level{number}" for number in range(200)])
    deep.mkdir(parents=True)
    target = deep / "leaf"
    target.touch()
    row = kernel.run(["open", target, "r"]).file(str(target))
    assert not row.flags & EventFlag.PATH_TRUNCATED


def test_a_path_that_is_too_long_keeps_its_leaf_and_says_so(kernel: Kernel, tmp_path: Path) -> None:
    names = ["d" * 250] * 20
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in names:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        seen = kernel.run(["open", "leaf", "r"], cwd=f"/proc/{os.getpid()}/fd/{here}")
    finally:
        os.close(here)
    (row,) = (row for row in seen.files if row.path.endswith("/leaf"))
    assert row.flags & EventFlag.PATH_TRUNCATED
    assert ("truncated", "files", 1) in seen.losses


def test_a_mount_is_crossed(kernel: Kernel) -> None:
    row = kernel.run(["open", "/proc/self/status", "r"]).files[0]
    assert row.path.startswith("/proc/")
    assert row.path.endswith("/status")


def test_a_directory_and_an_o_path_are_told_apart(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(["open", tmp_path, "rd"], ["open", tmp_path, "p"])
    accesses = {row.access & ~Access.READ for row in seen.files}
    assert accesses == {Access.DIRECTORY, Access.DIRECTORY | Access.PATH_ONLY}


def test_a_storm_of_files_loses_none(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(["burst-open", tmp_path, 20_000])
    assert len({row.path for row in seen.files}) == 20_000
    assert seen.losses == []


def test_one_that_floods_loses_its_own_and_leaves_its_neighbour_complete(
    kernel: Kernel, tmp_path: Path
) -> None:
    flood, quiet = tmp_path / "flood", tmp_path / "quiet"
    flood.mkdir()
    quiet.mkdir()
    seen = kernel.run_each(
        known(["burst-open", flood, 61_000]), known(["burst-open", quiet, 2_300])
    )
    assert seen.losses_of(0) == [("quota", "files", 1_000)]
    assert seen.losses_of(1) == []
    opened = [row.path for row in seen.files]
    assert sum(path.startswith(str(flood)) for path in opened) == 60_000
    assert sum(path.startswith(str(quiet)) for path in opened) == 2_300


@pytest.mark.parametrize("address", ["b''", "ctypes.c_void_p(8)"])
def test_a_name_that_is_none_is_an_error_and_no_loss(kernel: Kernel, address: str) -> None:
    code = f"import ctypes; ctypes.CDLL(None).open({address}, 0)"
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    number = errno.ENOENT if address == "b''" else errno.EFAULT
    assert seen.errors["openat", number] or seen.errors["open", number]
    assert seen.losses == []


_OPEN_BY_INT_80 = """
import ctypes, mmap
room = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
# push rbx; mov ebx, edi; mov ecx, esi; mov eax, 5; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89fb 89f1 b805000000 cd80 5b c3")
room[: len(code)] = code
room[256:268] = b"/etc/passwd\\0"
at = ctypes.addressof(ctypes.c_char.from_buffer(room))
ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(at)(at + 256, 0)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is x86's")
def test_an_open_by_another_table_is_an_opened_file_too(kernel: Kernel) -> None:
    seen = kernel.run(argv=[sys.executable, "-S", "-c", _OPEN_BY_INT_80])
    assert seen.calls(arch="i386") == {"open": 1}
    row = seen.file("/etc/passwd")
    assert (row.access, row.calls) == (Access.READ, 1)
