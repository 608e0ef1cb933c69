"""What only a guest can show: run there by `tests/e2e/test_second_kernel.py`.

Its kernel lets programs of security modules be attached, has its own headers, and older types.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ethogram.contracts.flags import Access
from ethogram.contracts.recording import Recording
from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.bcc_host import kernel_source
from profiler.loaders.core import CoreLoader
from tests.bpf.conftest import Kernel
from tests.e2e.command_line import ethogram
from tests.workloads import build_known, known

# Emulated on processors that others use as well, a command of seconds takes minutes.
LIMIT_S = 600

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_S)]

GETPPID = 110
HANDLE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
directory = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
handle, mount = ctypes.create_string_buffer((128).to_bytes(4, "little"), 136), ctypes.c_int()
code = libc.name_to_handle_at(-100, sys.argv[1].encode(), handle, ctypes.byref(mount), 0)
assert code == 0, os.strerror(ctypes.get_errno())
assert libc.open_by_handle_at(directory, handle, os.O_RDONLY) >= 0, os.strerror(ctypes.get_errno())
"""


def attached() -> Kernel:
    mount = Hierarchy().mount
    assert mount is not None
    config = KernelConfig(record_by_default=False, recorder_tgid=os.getpid())
    loader = CoreLoader(config)
    loader.attach(lambda: None)
    loader.arm()
    return Kernel(loader, mount)


@pytest.fixture(scope="module")
def full() -> Iterator[Kernel]:
    kernel = attached()
    yield kernel
    kernel.loader.close()


# --- the optional hook ----------------------------------------------------------------------------


def test_every_program_is_attached(full: Kernel) -> None:
    assert {one.name for one in full.loader.programs if one.state != "attached"} == set()


def test_a_file_that_is_opened_by_handle_is_seen_once(full: Kernel, tmp_path: Path) -> None:
    target = tmp_path / "by-handle"
    target.write_text("")
    opened = full.run(argv=[sys.executable, "-S", "-c", HANDLE, str(target)])
    assert opened.file(str(target)).calls == 1
    assert opened.file(str(target)).access & Access.READ


def test_a_message_queue_is_seen_as_the_file_that_it_is(full: Kernel) -> None:
    source = (
        "import ctypes; queue = ctypes.CDLL(None).mq_open(b'/test', 66, 384, None)\n"
        "assert queue >= 0"
    )
    seen = full.run(argv=[sys.executable, "-S", "-c", source])
    assert seen.file("/test").access & (Access.READ | Access.WRITE | Access.CREATE)


def test_a_queue_that_was_removed_has_its_path(full: Kernel) -> None:
    source = (
        "import ctypes, os; libc = ctypes.CDLL(None)\n"
        "queue = libc.mq_open(b'/gone', 66, 384, None)\n"
        "libc.mq_unlink(b'/gone'); os.open(f'/proc/self/fd/{queue}', os.O_RDONLY)"
    )
    seen = full.run(argv=[sys.executable, "-S", "-c", source])
    assert {one.path for one in seen.files if "gone" in one.path} == {"/gone"}


def test_what_a_call_tells_is_not_told_twice(full: Kernel) -> None:
    seen = full.run(["repeat", 3, [["openat", "/etc/hostname", "r"]]], ["spawn", "/bin/true"])
    opened = seen.file("/etc/hostname")
    assert (opened.calls, opened.errno) == (3, 0)
    assert not [one for one in seen.files if one.path in {"/bin/true", str(build_known())}]


# --- the command line -----------------------------------------------------------------------------


def test_the_doctor_tries_every_program() -> None:
    done = ethogram("doctor", "--format", "json", timeout_s=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert checks["program file_opened"]["ok"] is True
    assert "`core`" in checks["loader"]["detail"]


def test_a_command_can_be_tried() -> None:
    done = ethogram("try", "--", "true", timeout_s=LIMIT_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("loader", ["auto", "bcc"])
def test_a_command_can_be_recorded(tmp_path: Path, loader: str) -> None:
    words = known(["call", GETPPID, 23], ["openat", "/etc/hosts", "r"], ["connect", "127.0.0.1", 9])
    options = ("--loader", loader, "-o", tmp_path / "recording")
    done = ethogram("record", *options, "--", *words, timeout_s=LIMIT_S)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(tmp_path / "recording")
    manifest = recording.manifest
    assert manifest.loader == ("bcc" if loader == "bcc" else "core")
    assert manifest.kernel == os.uname().release
    assert {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_NET_ADMIN"} <= set(manifest.privileges_dropped)
    calls = {row["name"]: row["calls"] for row in recording.table("syscalls").to_pylist()}
    assert calls["getppid"] == 23
    (flow,) = recording.table("network").to_pylist()
    assert (flow["direction"], flow["peer_port"]) == ("out", 9)
    if loader == "auto":
        assert b"/etc/hosts" in recording.table("files").column("path").to_pylist()


def test_bcc_compiles_against_this_kernel_s_own_headers() -> None:
    with kernel_source() as tree:
        assert tree is None  # BCC finds them itself
    release = os.uname().release
    assert Path("/lib/modules", release, "build/include/generated/uapi/linux/version.h").exists()
