"""Connections that io_uring makes, by the caller itself and by a thread that works for it."""

import socket
import sys

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

_CONNECT = """
import ctypes, mmap, os, socket, struct
SETUP, ENTER, CONNECT = 425, 426, 16
libc = ctypes.CDLL(None)
params = ctypes.create_string_buffer(120)
ring = libc.syscall(SETUP, 4, params)
assert ring >= 0
offsets = struct.unpack_from("<10I", params.raw, 40)
tail, array = offsets[1], offsets[6]
queue = mmap.mmap(ring, 4096, offset=0)
entries = mmap.mmap(ring, 4096, offset=0x10000000)
client = socket.socket()
address = ctypes.create_string_buffer(
    struct.pack("<H", 2) + struct.pack(">H", {port}) + bytes([127, 0, 0, 1]) + bytes(8), 16
)
struct.pack_into("<BBHiQQII", entries, 0, CONNECT, {flags}, 0, client.fileno(), 16,
                 ctypes.addressof(address), 0, 0)
struct.pack_into("<I", queue, array, 0)
struct.pack_into("<I", queue, tail, 1)
assert libc.syscall(ENTER, ring, 1, 1, 1, None, 0) == 1
client.getpeername()
"""
_ASYNC = 16  # IOSQE_ASYNC: a worker thread does it from the beginning


@pytest.mark.parametrize("flags", [0, _ASYNC])
def test_a_connection_through_the_ring_is_its_process_s(kernel: Kernel, flags: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        seen = kernel.run(
            argv=[sys.executable, "-S", "-c", _CONNECT.format(port=port, flags=flags)]
        )
    ((key, _),) = [
        row
        for row in seen._keys("flows")
        if int(row[0]["peer_port"]) == port and row[1]["connections"]
    ]
    assert seen.flows == [("out", "127.0.0.1", None, port, 1)]
    assert seen.phase_of[int(key["slot"])] != "runtime"
    assert int(key["exe_key"]) == int(seen.execs[-1].head["exe_key"])
