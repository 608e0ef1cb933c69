"""Where a file is: through links of procfs, mounts, other roots, handles, and without a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ethogram.contracts.events import EventFlag
from ethogram.contracts.flags import Access
from tests.bpf.conftest import Kernel
from tests.workloads import build_known, known

pytestmark = pytest.mark.bpf


def _python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-S", "-c", code, *map(str, words)]


def _in_mounts(script: str, *words: object) -> list[str]:
    """Return a shell's command line in a mount namespace of its own; `$1` ... are *words*."""
    return ["unshare", "--mount", "sh", "-ec", script, "sh", *map(str, words)]


@pytest.mark.parametrize("link", ["/proc/self/root", f"/proc/{os.getpid()}/root"])
def test_the_root_of_a_process_leads_to_the_file_itself(
    kernel: Kernel, tmp_path: Path, link: str
) -> None:
    (tmp_path / "data").touch()
    row = kernel.run(["openat", f"{link}{tmp_path}/data", "r"]).file(str(tmp_path / "data"))
    assert row.asked == f"{link}{tmp_path}/data"


def test_a_bind_mount_has_the_path_of_where_it_is(kernel: Kernel, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "data").touch()
    script = 'mount --bind "$1" "$2"; exec "$3" openat "$2/data" r'
    seen = kernel.run(argv=_in_mounts(script, source, target, build_known()))
    assert seen.file(str(target / "data")).asked == str(target / "data")


def test_one_file_is_bound_over_another(kernel: Kernel, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).touch()
    script = 'mount --bind "$1/one" "$1/other"; exec "$2" openat "$1/other" r'
    seen = kernel.run(argv=_in_mounts(script, tmp_path, build_known()))
    assert seen.file(str(tmp_path / "other")).errno == 0


def test_a_new_file_system_in_a_mount_namespace_is_part_of_the_path(
    kernel: Kernel, tmp_path: Path
) -> None:
    script = 'mount -t tmpfs none "$1"; mkdir "$1/below"; exec "$2" openat "$1/below/data" wc'
    seen = kernel.run(argv=_in_mounts(script, tmp_path, build_known()))
    assert seen.file(str(tmp_path / "below/data")).errno == 0


def test_another_root_is_part_of_the_path(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    seen = kernel.run(["call", 161, 1, f"@{tmp_path}"], ["openat", "/data", "r"])
    assert seen.file(str(tmp_path / "data")).asked == "/data"


_BY_HANDLE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
handle = (ctypes.c_uint * 34)(128)
mount = ctypes.c_int()
if libc.name_to_handle_at(-100, sys.argv[1].encode(), handle, ctypes.byref(mount), 0):
    raise SystemExit(3)
here = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
if libc.open_by_handle_at(here, handle, 0) < 0:
    raise SystemExit(4)
"""


def test_a_file_opened_by_its_handle_has_its_path(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.touch()
    code = subprocess.run(_python(_BY_HANDLE, target), check=False).returncode
    if code:
        pytest.skip(f"no handle can be opened below {tmp_path}: step {code}")
    seen = kernel.run(argv=_python(_BY_HANDLE, target))
    row = seen.file(str(target))
    assert (row.asked, row.errno) == ("", 0)
    assert seen.operations["open_by_handle", "", 0] == 1


def test_a_file_that_never_had_a_name_is_told_as_deleted(kernel: Kernel, tmp_path: Path) -> None:
    code = "import os, sys; os.open(sys.argv[1], os.O_TMPFILE | os.O_RDWR)"
    seen = kernel.run(argv=_python(code, tmp_path))
    (row,) = (row for row in seen.files if row.path.startswith(f"{tmp_path}/#"))
    assert row.flags & EventFlag.DELETED


def test_a_deleted_file_keeps_its_path_and_says_so(kernel: Kernel, tmp_path: Path) -> None:
    code = (
        "import os, sys; fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR);"
        "os.unlink(sys.argv[1]); os.open(f'/proc/self/fd/{fd}', os.O_RDONLY)"
    )
    seen = kernel.run(argv=_python(code, tmp_path / "gone"))
    (row,) = (
        row
        for row in seen.files
        if row.path == str(tmp_path / "gone") and row.access == Access.READ
    )
    assert row.flags & EventFlag.DELETED


def test_a_file_in_memory_is_told_by_its_name(kernel: Kernel) -> None:
    code = "import os; os.open(f'/proc/self/fd/{os.memfd_create(\"mine\")}', os.O_RDONLY)"
    (row,) = (row for row in kernel.run(argv=_python(code)).files if "memfd" in row.path)
    assert row.path == "memfd:mine"


def test_a_component_as_long_as_can_be_is_whole(kernel: Kernel, tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    target.touch()
    assert kernel.run(["openat", target, "r"]).file(str(target)).errno == 0


def test_a_path_of_4095_bytes_is_whole(kernel: Kernel, tmp_path: Path) -> None:
    rest = 4095 - len(str(tmp_path))
    names = ["d" * 250] * (rest // 251 - 1)
    leaf = "f" * (rest - 251 * len(names) - 1)
    names += [leaf[:120]] if len(leaf) > 255 else []
    leaf = "f" * (4095 - len(str(tmp_path)) - sum(len(name) + 1 for name in names) - 1)
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for name in names:
            os.mkdir(name, dir_fd=here)
            below = os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open(leaf, os.O_CREAT | os.O_WRONLY, dir_fd=here))
        seen = kernel.run(["open", leaf, "r"], cwd=f"/proc/{os.getpid()}/fd/{here}")
    finally:
        os.close(here)
    row = seen.file("/".join([str(tmp_path), *names, leaf]))
    assert len(row.path) == 4095
    assert not row.flags & EventFlag.PATH_TRUNCATED
    assert seen.losses == []


_TORN = """
import os, sys, threading
os.chdir(sys.argv[1])
one, other = "A/" + "B" * 30, "X/" + "Y" * 30
for name in ("A", "X", one):
    os.mkdir(name)
here = os.open(one, os.O_PATH | os.O_DIRECTORY)
os.close(os.open("f", os.O_CREAT | os.O_RDWR, dir_fd=here))
is_over = False
def move():
    while not is_over:
        os.rename(one, other)
        os.rename(other, one)
mover = threading.Thread(target=move)
mover.start()
for _ in range(20_000):
    os.close(os.open("f", os.O_RDONLY, dir_fd=here))
is_over = True
mover.join()
"""


def test_no_path_is_made_up_while_directories_move(kernel: Kernel, tmp_path: Path) -> None:
    seen = kernel.run(argv=_python(_TORN, tmp_path))
    rows = [row for row in seen.files if row.asked == "f" and row.path.endswith("/f")]
    assert sum(row.calls for row in rows) == 20_001
    real = {f"{tmp_path}/A/{'B' * 30}/f", f"{tmp_path}/X/{'Y' * 30}/f"}
    assert {row.path for row in rows if not row.flags & EventFlag.PATH_RACY} <= real


def test_known_opens_are_not_mixed_up_by_another_mount_namespace(
    kernel: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "data").touch()
    script = 'mount -t tmpfs none "$1"; touch "$1/data"; exec "$2" openat "$1/data" r'
    inside = _in_mounts(script, tmp_path, build_known())
    seen = kernel.run_each(inside, known(["openat", tmp_path / "data", "r"]))
    rows = [row for row in seen.files if row.path == str(tmp_path / "data") and not row.errno]
    assert len(rows) >= 2
