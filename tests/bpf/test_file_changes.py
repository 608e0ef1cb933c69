"""Renames, removals, links and modes: rows of files, by name, counted and not streamed."""

import errno
import os
import sys
from pathlib import Path

import pytest

from ethogram.contracts.events import EventFlag, RecordKind
from ethogram.contracts.flags import Access
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

TRUNCATE, FTRUNCATE, RENAME, MKDIR, RMDIR, LINK, UNLINK = 76, 77, 82, 83, 84, 86, 87
SYMLINK, CHMOD, CHOWN, MKNOD = 88, 90, 92, 133
MKDIRAT, MKNODAT, FCHOWNAT, UNLINKAT, RENAMEAT = 258, 259, 260, 263, 264
LINKAT, SYMLINKAT, FCHMODAT, RENAMEAT2 = 265, 266, 268, 316
HERE = -100  # AT_FDCWD
REMOVE_DIRECTORY, EXCHANGE = 0x200, 2


def test_a_rename_tells_both_names(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    seen = kernel.run(["call", RENAME, 1, f"@{tmp_path}/a", f"@{tmp_path}/b"])
    assert seen.changes == {
        (Access.RENAME_FROM, f"{tmp_path}/a", 0): 1,
        (Access.RENAME_TO, f"{tmp_path}/b", 0): 1,
    }


def test_an_exchange_renames_both_ways(kernel: Kernel, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    seen = kernel.run(
        ["call", RENAMEAT2, 1, HERE, f"@{tmp_path}/a", HERE, f"@{tmp_path}/b", EXCHANGE]
    )
    both = Access.RENAME_FROM | Access.RENAME_TO
    assert seen.changes == {(both, f"{tmp_path}/{name}", 0): 1 for name in "ab"}


def _calls(directory: Path) -> list[tuple[list[object], dict[tuple[Access, str, int], int]]]:
    """Return calls, and what each is told as."""
    old, new = f"{directory}/old", f"{directory}/new"
    linked = {(Access.LINK, old, 0): 1, (Access.LINK | Access.MAKE, new, 0): 1}
    directory_made = {(Access.MAKE | Access.DIRECTORY, new, 0): 1}
    moved = {(Access.RENAME_FROM, old, 0): 1, (Access.RENAME_TO, new, 0): 1}
    return [
        ([RENAMEAT, HERE, f"@{old}", HERE, f"@{new}"], moved),
        ([RENAMEAT2, HERE, f"@{old}", HERE, f"@{new}", 0], moved),
        ([LINK, f"@{old}", f"@{new}"], linked),
        ([LINKAT, HERE, f"@{old}", HERE, f"@{new}", 0], linked),
        ([SYMLINK, "@old", f"@{new}"], {(Access.SYMLINK, new, 0): 1}),
        ([SYMLINKAT, "@old", HERE, f"@{new}"], {(Access.SYMLINK, new, 0): 1}),
        ([UNLINK, f"@{old}"], {(Access.UNLINK, old, 0): 1}),
        ([UNLINKAT, HERE, f"@{old}", 0], {(Access.UNLINK, old, 0): 1}),
        ([MKDIR, f"@{new}", 0o700], directory_made),
        ([MKDIRAT, HERE, f"@{new}", 0o700], directory_made),
        ([MKNOD, f"@{new}", 0o10600, 0], {(Access.MAKE, new, 0): 1}),
        ([MKNODAT, HERE, f"@{new}", 0o10600, 0], {(Access.MAKE, new, 0): 1}),
        ([CHMOD, f"@{old}", 0o600], {(Access.ATTRIBUTES, old, 0): 1}),
        ([FCHMODAT, HERE, f"@{old}", 0o600], {(Access.ATTRIBUTES, old, 0): 1}),
        ([CHOWN, f"@{old}", 0, 0], {(Access.ATTRIBUTES, old, 0): 1}),
        ([FCHOWNAT, HERE, f"@{old}", 0, 0, 0], {(Access.ATTRIBUTES, old, 0): 1}),
        ([TRUNCATE, f"@{old}", 0], {(Access.TRUNCATE, old, 0): 1}),
    ]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86-64's table")
def test_every_call_that_changes_a_name_is_told(kernel: Kernel, tmp_path: Path) -> None:
    for index, (_, _) in enumerate(_calls(tmp_path)):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "old").touch()
    wanted: dict[tuple[Access, str, int], int] = {}
    actions = []
    for index in range(len(_calls(tmp_path))):
        (number, *rest), told = _calls(tmp_path / str(index))[index]
        actions.append(["expect", 0, "call", number, 1, *rest])
        wanted |= told
    seen = kernel.run(*actions)
    assert seen.changes == wanted
    assert seen.losses == []


def test_a_removed_directory_is_told_from_a_file(kernel: Kernel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    seen = kernel.run(
        ["call", RMDIR, 1, f"@{tmp_path}/one"],
        ["call", UNLINKAT, 1, HERE, f"@{tmp_path}/two", REMOVE_DIRECTORY],
    )
    removed = Access.UNLINK | Access.DIRECTORY
    assert seen.changes == {(removed, f"{tmp_path}/{name}", 0): 1 for name in ("one", "two")}


def test_a_refused_change_keeps_its_errno(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(["call", UNLINK, 1, f"@{tmp_path}/absent"])
    assert seen.changes == {(Access.UNLINK, f"{tmp_path}/absent", errno.ENOENT): 1}


def test_a_relative_name_starts_from_the_working_directory(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    seen = kernel.run(
        ["chdir", tmp_path / "below"],
        ["call", MKDIR, 1, "@sub/../made", 0o700],
        ["call", UNLINK, 1, "@../x"],
    )
    assert (Access.MAKE | Access.DIRECTORY, f"{tmp_path}/below/made", errno.ENOENT) in seen.changes
    assert (Access.UNLINK, f"{tmp_path}/x", errno.ENOENT) in seen.changes


_BELOW_A_DESCRIPTOR = """
import os, sys
here = os.open(sys.argv[1], os.O_RDONLY)
os.mkdir("made", dir_fd=here)
os.rename("made", "moved", src_dir_fd=here, dst_dir_fd=here)
try:
    os.open("absent", os.O_RDONLY, dir_fd=here)
except FileNotFoundError:
    pass
"""


def test_a_relative_name_starts_from_a_descriptor(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(argv=[sys.executable, "-S", "-c", _BELOW_A_DESCRIPTOR, str(tmp_path)])
    assert (Access.RENAME_FROM, f"{tmp_path}/made", 0) in seen.changes
    assert (Access.RENAME_TO, f"{tmp_path}/moved", 0) in seen.changes
    row = seen.file(f"{tmp_path}/absent")
    assert (row.errno, row.asked, row.access) == (errno.ENOENT, "absent", Access.READ)


_BY_DESCRIPTOR = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.fchmod(fd, 0o600)
os.fchown(fd, 0, 0)
os.ftruncate(fd, 4096)
os.ftruncate(fd, 0)
os.unlink(sys.argv[1])
"""


def test_a_change_by_descriptor_is_of_the_file(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    seen = kernel.run(argv=[sys.executable, "-S", "-c", _BY_DESCRIPTOR, str(target)])
    assert seen.changes == {
        (Access.ATTRIBUTES, str(target), 0): 2,
        (Access.TRUNCATE, str(target), 0): 1,  # growing is how room is made
        (Access.UNLINK, str(target), 0): 1,
    }


def test_a_name_under_another_root_has_its_place_in_the_tree(
    kernel: Kernel, tmp_path: Path
) -> None:
    seen = kernel.run(
        ["call", 161, 1, f"@{tmp_path}"],
        ["call", MKDIR, 1, "@/../made", 0o700],
        ["openat", "/absent", "r"],
    )
    assert (Access.MAKE | Access.DIRECTORY, f"{tmp_path}/made", 0) in seen.changes
    assert seen.file(f"{tmp_path}/absent").errno == errno.ENOENT


def test_a_storm_of_renames_costs_counters_and_no_records(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    there = ["call", RENAME, 1, f"@{tmp_path}/a", f"@{tmp_path}/b"]
    back = ["call", RENAME, 1, f"@{tmp_path}/b", f"@{tmp_path}/a"]
    seen = kernel.run(["repeat", 10_007, [there, back]])
    assert seen.changes == {
        (access, f"{tmp_path}/{name}", 0): 10_007
        for access in (Access.RENAME_FROM, Access.RENAME_TO)
        for name in "ab"
    }
    records = [batch for batch in seen.drained.records[RecordKind.FILE] if len(batch.heads)]
    assert sum(str(tmp_path).encode() in tail for batch in records for tail in batch.tails) == 4
    assert seen.losses == []


def test_names_that_differ_in_a_byte_are_two(kernel: Kernel, tmp_path: Path) -> None:
    long = "/".join(["d" * 100] * 8)
    names = [f"{tmp_path}/{long}/{leaf}{'e' * 100}" for leaf in "xy"]
    seen = kernel.run(*[["call", UNLINK, 1, f"@{name}"] for name in names])
    assert seen.changes == {(Access.UNLINK, name, errno.ENOENT): 1 for name in names}


def test_the_longest_name_is_whole(kernel: Kernel) -> None:
    name = "/" + "/".join(["d" * 250] * 20)[:4094]
    assert len(name) == 4095
    seen = kernel.run(["call", UNLINK, 1, f"@{name}"])
    assert seen.changes == {(Access.UNLINK, name, errno.ENOENT): 1}


def test_a_change_below_a_directory_that_is_too_deep_says_so(
    kernel: Kernel, tmp_path: Path
) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in ["d" * 250] * 20:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        seen = kernel.run(["call", MKDIR, 1, "@leaf", 0o700], cwd=f"/proc/{os.getpid()}/fd/{here}")
    finally:
        os.close(here)
    (row,) = (row for row in seen.files if row.path.endswith("/leaf"))
    assert row.flags & EventFlag.PATH_TRUNCATED
    assert row.path.startswith(".../")
    assert ("truncated", "files", 1) in seen.losses


_BY_INT_80 = """
import ctypes, mmap, sys
room = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, prot=7)
# push rbx; mov ebx, edi; mov ecx, esi; mov eax, 38; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89fb 89f1 b826000000 cd80 5b c3")
room[: len(code)] = code
for place, name in ((256, "old"), (2048, "new")):
    text = f"{sys.argv[1]}/{name}".encode() + b"\\0"
    room[place : place + len(text)] = text
at = ctypes.addressof(ctypes.c_char.from_buffer(room))
ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(at)(at + 256, at + 2048)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is x86's")
def test_a_rename_by_another_table_is_told_too(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    seen = kernel.run(argv=[sys.executable, "-S", "-c", _BY_INT_80, str(tmp_path)])
    assert seen.changes[Access.RENAME_FROM, f"{tmp_path}/old", 0] == 1
    assert seen.changes[Access.RENAME_TO, f"{tmp_path}/new", 0] == 1
