"""Peers that another program on the host moves, both ends of a connection, and its bytes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bpf.build import flags, tool
from profiler.identity.hierarchy import unified_mount
from profiler.libbpf import Object
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf

# What the datapath of a cluster network does for a service: connections to its address get a pod's.
_BALANCER = """
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
SEC("cgroup/connect4") int balance4(struct bpf_sock_addr *context)
{{
	if (context->user_ip4 == bpf_htonl(0x0a090909) && context->user_port == bpf_htons(80)) {{
		context->user_ip4 = bpf_htonl(0x7f000001);
		context->user_port = bpf_htons({port});
	}}
	return 1;
}}
char LICENSE[] SEC("license") = "GPL";
"""
_CONNECT = """
import socket
for _ in range({times}):
    client = socket.socket(socket.{family}); client.connect(({host!r}, {port}))
    client.sendall(b"x" * 10)
    while client.recv(100): pass
    client.close()
"""


@pytest.fixture
def server() -> Iterator[int]:
    code = (
        "import socket; server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    end = server.accept()[0]; end.recv(10); end.sendall(b'y' * 7); end.close()"
    )
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.fixture
def balanced(kernel: Kernel, server: int, tmp_path: Path) -> Iterator[int]:
    """Move connections to 10.9.9.9 port 80 to the server, by a program that runs after ours."""
    source, target = tmp_path / "balancer.bpf.c", tmp_path / "balancer.bpf.o"
    source.write_text(_BALANCER.format(port=server))
    build = [tool("clang"), *flags(source, os.uname().machine), "-c", str(source)]
    subprocess.run([*build, "-o", str(target)], check=True)
    balancer = Object(target)
    balancer.load()
    root = os.open(unified_mount(), os.O_RDONLY | os.O_DIRECTORY)
    link = balancer.programs["balance4"].attach_cgroup(root)
    try:
        yield server
    finally:
        link.close()
        os.close(root)
        balancer.close()


def test_a_moved_connection_has_both_addresses_and_counts_once(
    kernel: Kernel, balanced: int
) -> None:
    code = _CONNECT.format(times=3, family="AF_INET", host="10.9.9.9", port=80)
    (row,) = kernel.run(argv=[sys.executable, "-S", "-c", code]).peers
    assert (row.direction, row.peer, row.nat) == ("out", ("10.9.9.9", 80), ("127.0.0.1", balanced))
    assert (row.connections, row.sent, row.received) == (3, 30, 21)


def test_what_is_not_moved_has_one_address(kernel: Kernel, balanced: int) -> None:
    code = _CONNECT.format(times=2, family="AF_INET", host="127.0.0.1", port=balanced)
    (row,) = kernel.run(argv=[sys.executable, "-S", "-c", code]).peers
    assert (row.peer, row.nat, row.connections) == (("127.0.0.1", balanced), None, 2)


def test_a_mapped_address_is_moved_by_nobody(kernel: Kernel, server: int) -> None:
    code = _CONNECT.format(times=2, family="AF_INET6", host="::ffff:127.0.0.1", port=server)
    (row,) = kernel.run(argv=[sys.executable, "-S", "-c", code]).peers
    assert (row.peer, row.nat) == (("127.0.0.1", server), None)
    assert (row.connections, row.sent, row.received) == (2, 20, 14)


BOTH_ENDS = """
import socket
server = socket.create_server(({address!r}, 0), family=socket.{family})
client = socket.socket(socket.{family}); client.connect(server.getsockname()[:2])
end = server.accept()[0]
client.sendall(b"x" * 1000); end.recv(1000, socket.MSG_WAITALL); end.sendall(b"y" * 500)
client.recv(500, socket.MSG_WAITALL)
{first}.close(); {second}.recv(1); {second}.close()
"""


@pytest.mark.parametrize(("first", "second"), [("client", "end"), ("end", "client")])
def test_bytes_are_those_of_the_program(kernel: Kernel, first: str, second: str) -> None:
    code = BOTH_ENDS.format(address="127.0.0.1", family="AF_INET", first=first, second=second)
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    rows = {flow.direction: (flow.sent, flow.received) for flow in seen.peers}
    assert rows["out"] == (1000, 500)
    assert rows["in"] == (500, 1000)


def test_bytes_of_a_connection_that_was_reset(kernel: Kernel) -> None:
    code = (
        "import socket, struct\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname()); end = server.accept()[0]\n"
        "client.sendall(b'x' * 1000); end.recv(1000, socket.MSG_WAITALL)\n"
        "end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
        "end.close()"
    )
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    rows = {flow.direction: (flow.sent, flow.received) for flow in seen.peers}
    assert rows["out"] == (1000, 0)
    assert rows["in"] == (0, 1000)


@pytest.mark.parametrize(
    ("family", "address"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1"), ("AF_INET6", "::")]
)
def test_the_cookies_of_both_ends_join_them(kernel: Kernel, family: str, address: str) -> None:
    code = BOTH_ENDS.format(address=address, family=family, first="client", second="end")
    seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
    rows = {flow.direction: flow for flow in seen.peers}
    assert rows["in"].peer_cookie == rows["out"].cookie != rows["in"].cookie
    assert rows["out"].peer_cookie == 0


def test_a_client_that_is_not_recorded_joins_nothing(kernel: Kernel) -> None:
    code = (
        "import os, socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "os.write({report}, b'%d' % server.getsockname()[1]); server.accept()"
    )
    reading, report = os.pipe()
    connecting = subprocess.Popen(
        [sys.executable, "-S", "-c",
         "import os, socket\n"
         f"socket.create_connection(('127.0.0.1', int(os.read({reading}, 9)))).recv(1)"],
        pass_fds=[reading],
    )  # fmt: skip
    try:
        seen = kernel.run(
            argv=[sys.executable, "-S", "-c", code.format(report=report)], pass_fds=[report]
        )
    finally:
        os.close(reading)
        os.close(report)
        connecting.wait(30)
    (row,) = [flow for flow in seen.peers if flow.direction == "in"]
    assert (row.connections, row.peer_cookie) == (1, 0)
