"""UNIX sockets, and sockets of other families, that are used through a ring (`io_uring`)."""

import socket
import sys
from pathlib import Path

import pytest

from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen

pytestmark = pytest.mark.bpf

ASYNC, SKIP_SUCCESS = 1 << 4, 1 << 6
RING_THREAD = 2  # IORING_SETUP_SQPOLL

# A ring, and a function that submits one request, waits for its result, and returns it.
_RING = """
import ctypes, mmap, socket, struct
SENDMSG, ACCEPT, CONNECT, SOCKET, BIND, LISTEN = 9, 13, 16, 45, 56, 57
libc = ctypes.CDLL(None)
params = bytearray(120)
struct.pack_into("<I", params, 8, {setup})
ring = libc.syscall(425, 4, (ctypes.c_char * 120).from_buffer(params))
assert ring >= 0
sq_tail, sq_array = struct.unpack_from("<10I", params, 40)[1::5]
cq_tail, cqes = struct.unpack_from("<10I", params, 80)[1::4][:2]
sq, cq = mmap.mmap(ring, 4096, offset=0), mmap.mmap(ring, 4096, offset=0x8000000)
entries = mmap.mmap(ring, 4096, offset=0x10000000)
sent = told = 0
keep = []
def at(data):
    keep.append(ctypes.create_string_buffer(data, len(data)))
    return ctypes.addressof(keep[-1])
def unix(path):
    return path if path[:1] == b"\\0" else path + b"\\0"
def submit(opcode, fd, addr=0, size=0, off=0, flags={flags}):
    global sent, told
    request = struct.pack("<BBHiQQIIQ", opcode, flags, 0, fd, off, addr, size, 0, 0)
    entries[sent % 4 * 64 : sent % 4 * 64 + len(request)] = request
    struct.pack_into("<I", sq, sq_array + sent % 4 * 4, sent % 4)
    sent += 1
    struct.pack_into("<I", sq, sq_tail, sent)
    if flags & 64:
        libc.syscall(426, ring, 1, 0, 0, None, 0)
        return None
    assert libc.syscall(426, ring, 1, 1, 1 | {setup}, None, 0) >= 0
    while struct.unpack_from("<I", cq, cq_tail)[0] == told:
        pass
    told += 1
    return struct.unpack_from("<i", cq, cqes + (told - 1) % 8 * 16 + 8)[0]
def named(opcode, fd, path, **options):
    name = b"\\1\\0" + unix(path)
    return submit(opcode, fd, at(name), 0, len(name), **options)
"""


def ring(kernel: Kernel, code: str, *, flags: int = 0, setup: int = 0) -> Seen:
    whole = _RING.format(flags=flags, setup=setup) + code
    return kernel.run(argv=[sys.executable, "-S", "-c", whole])


@pytest.mark.parametrize("setup", [0, RING_THREAD], ids=["caller", "ring's thread"])
@pytest.mark.parametrize("flags", [0, ASYNC], ids=["inline", "worker"])
def test_a_peer_is_named_as_it_bound(
    kernel: Kernel, tmp_path: Path, flags: int, setup: int
) -> None:
    bound, link = tmp_path / "docker.sock", tmp_path / "harmless"
    link.symlink_to(bound)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bound))
        server.listen()
        code = (
            "client = socket.socket(1)\n"
            f"assert named(CONNECT, client.fileno(), {str(link).encode()!r}) == 0"
        )
        seen = ring(kernel, code, flags=flags, setup=setup)
    assert seen.unix == [("out", str(bound).encode(), 1)]
    assert seen.losses == []


def test_a_connect_that_failed_has_the_name_that_was_asked_for(kernel: Kernel) -> None:
    code = (
        "client = socket.socket(1)\n"
        "assert named(CONNECT, client.fileno(), b'/nowhere/docker.sock') == -2\n"
        "assert named(CONNECT, client.fileno(), b'\\0nobody') == -111"
    )
    assert ring(kernel, code).unix == [
        ("out", b"\0nobody", 1), ("out", b"/nowhere/docker.sock", 1),
    ]  # fmt: skip


def test_success_that_is_not_told_has_the_name_that_was_asked_for(
    kernel: Kernel, tmp_path: Path
) -> None:
    path = str(tmp_path / "served")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        code = (
            "client = socket.socket(1)\n"
            f"named(CONNECT, client.fileno(), {path.encode()!r}, flags={SKIP_SUCCESS})"
        )
        assert ring(kernel, code).unix == [("out", path.encode(), 1)]


def test_who_accepts_and_sends_messages_is_told(kernel: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "served")
    code = (
        f"server = socket.socket(1); server.bind({path!r}); server.listen()\n"
        f"client = socket.socket(1); client.connect({path!r})\n"
        "assert submit(ACCEPT, server.fileno()) > 0\n"
        "name = b'\\1\\0\\0nobody'\n"
        "message = struct.pack('<QQQQQQQ', at(name), len(name), 0, 0, 0, 0, 0)\n"
        "sender = socket.socket(1, 2)\n"
        "assert submit(SENDMSG, sender.fileno(), at(message), 1) == -111"
    )
    seen = ring(kernel, code)
    assert ("in", path.encode(), 1) in seen.unix
    assert ("out", b"\0nobody", 1) in seen.unix


def test_who_binds_and_listens_is_told(kernel: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "bound").encode()
    code = (
        "server = socket.socket(1)\n"
        f"done = named(BIND, server.fileno(), {path!r})\n"
        "assert done in (0, -22)\n"  # no such request before Linux 6.11
        "assert done or submit(LISTEN, server.fileno(), 0, 9) == 0"
    )
    seen = ring(kernel, code)
    if "bind" in seen.requests and Path(path.decode()).exists():
        assert seen.unix == [("bind", path, 1), ("listen", path, 1)]


@pytest.mark.parametrize("flags", [0, SKIP_SUCCESS])
def test_a_socket_of_another_family_is_known_by_kind(kernel: Kernel, flags: int) -> None:
    code = f"submit(SOCKET, 16, 0, 15, 3, flags={flags}); submit(SOCKET, 2, 0, 0, 1)"
    assert ring(kernel, code).made == {(16, 3, 15): 1}


def test_a_name_that_is_not_known_yet_is_a_loss(kernel: Kernel, tmp_path: Path) -> None:
    path = str(tmp_path / "bound").encode()
    code = f"named(BIND, socket.socket(1).fileno(), {path!r}, flags={SKIP_SUCCESS})"
    seen = ring(kernel, code)
    is_known = "bind" in seen.requests  # no such request before Linux 6.11
    assert seen.losses == [("unseen", "network", 1)] * is_known
