"""UNIX sockets by path, and sockets of the families that have no Internet address."""

import socket
import sys
from pathlib import Path

import pytest

from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen

pytestmark = pytest.mark.bpf

SERVE_AND_CONNECT = """
import socket
server = socket.socket(socket.AF_UNIX, {kind}); server.bind({path!r}); server.listen()
for _ in range(3):
    client = socket.socket(socket.AF_UNIX, {kind}); client.connect({path!r})
    server.accept()[0].close(); client.close()
"""


def python(kernel: Kernel, code: str, **options: object) -> Seen:
    return kernel.run(argv=[sys.executable, "-S", "-c", code], **options)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_both_ends_have_the_path_that_was_bound(kernel: Kernel, tmp_path: Path, kind: int) -> None:
    path = str(tmp_path / "service.sock")
    seen = python(kernel, SERVE_AND_CONNECT.format(kind=int(kind), path=path))
    name = path.encode()
    assert seen.unix == [
        ("bind", name, 1), ("in", name, 3), ("listen", name, 1), ("out", name, 3),
    ]  # fmt: skip


def test_an_abstract_name_keeps_every_byte(kernel: Kernel) -> None:
    name = b"\0ethogram\0test\0"
    seen = python(kernel, SERVE_AND_CONNECT.format(kind=1, path=name))
    assert {path for _, path, _ in seen.unix} == {name}


def test_the_longest_path_is_whole(kernel: Kernel, tmp_path: Path) -> None:
    path = b"x" * 108  # without its NUL, which is more than Python binds
    code = (
        f"import ctypes, os, socket; os.chdir({str(tmp_path)!r}); libc = ctypes.CDLL(None)\n"
        f"name = b'\\1\\0' + {path!r}; server = socket.socket(1); client = socket.socket(1)\n"
        "libc.bind(server.fileno(), name, 110); server.listen()\n"
        "libc.connect(client.fileno(), name, 110)"
    )
    seen = python(kernel, code)
    assert seen.unix == [(way, path, 1) for way in ("bind", "listen", "out")]


def test_a_peer_is_named_as_it_bound_whatever_link_leads_there(
    kernel: Kernel, tmp_path: Path
) -> None:
    bound, link = tmp_path / "docker.sock", tmp_path / "harmless"
    link.symlink_to(bound)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bound))
        server.listen()
        assert kernel.run(["unix", str(link)]).unix == [("out", str(bound).encode(), 1)]


def test_a_connect_that_failed_has_the_name_that_was_asked_for(kernel: Kernel) -> None:
    assert kernel.run(["repeat", 2, [["unix", "/nowhere/docker.sock"]]]).unix == [
        ("out", b"/nowhere/docker.sock", 2)
    ]


def test_an_abstract_name_that_nobody_has_is_a_peer_too(kernel: Kernel) -> None:
    assert kernel.run(["unix", "@nobody-has-this"]).unix == [("out", b"\0nobody-has-this", 1)]


def test_datagrams_with_and_without_a_connection(kernel: Kernel, tmp_path: Path) -> None:
    log, plain, vector = (str(tmp_path / name) for name in ("log", "plain", "vector"))
    code = (
        "import socket\n"
        "kind = socket.AF_UNIX, socket.SOCK_DGRAM\n"
        f"for path in {[log, plain, vector]!r}:\n"
        "    bound = socket.socket(*kind); bound.bind(path); globals()[path] = bound\n"
        "client = socket.socket(*kind)\n"
        f"client.sendto(b'x', {plain!r}); client.sendmsg([b'x'], [], 0, {vector!r})\n"
        f"client.connect({log!r}); client.send(b'x'); client.sendmsg([b'x'])"
    )
    outgoing = [row for row in python(kernel, code).unix if row[0] == "out"]
    assert outgoing == sorted(("out", path.encode(), 1) for path in (log, plain, vector))


def test_a_pair_without_a_name_is_no_peer(kernel: Kernel) -> None:
    seen = python(kernel, "import socket; a, b = socket.socketpair(); a.send(b'x'); b.recv(1)")
    assert seen.unix == []


def test_an_unbound_client_is_named_by_the_path_it_came_to(kernel: Kernel, tmp_path: Path) -> None:
    server, client = str(tmp_path / "server"), str(tmp_path / "client")
    code = (
        "import socket\n"
        f"s = socket.socket(1); s.bind({server!r}); s.listen()\n"
        f"c = socket.socket(1); c.bind({client!r}); c.connect({server!r}); s.accept()"
    )
    rows = {(way, path) for way, path, _ in python(kernel, code).unix}
    assert ("in", server.encode()) in rows
    assert ("in", client.encode()) not in rows


def test_names_beyond_the_quota_are_counted(kernel: Kernel) -> None:
    code = (
        "import socket\n"
        "for number in range(21000):\n"
        "    with socket.socket(1) as one:\n"
        "        one.connect_ex(b'\\0%d' % number)"
    )
    seen = python(kernel, code)
    lost = sum(count for _, place, count in seen.losses if place == "network")
    assert len(seen.unix) + lost == 21000
    assert lost


def test_sockets_of_other_families_are_known_by_kind(kernel: Kernel) -> None:
    code = (
        "import socket\n"
        "for _ in range(2): socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)\n"
        "socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)\n"
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))\n"
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n"
        "socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)\n"
        "socket.socket(40, socket.SOCK_STREAM)\n"
        "socket.socket(44, socket.SOCK_RAW)\n"
        "socket.socket(); socket.socket(10, 2); socket.socketpair()\n"
        "try: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 31)\n"
        "except OSError: pass"
    )
    assert python(kernel, code).made == {
        (16, 3, 0): 2, (16, 2, 15): 1, (17, 3, 3): 1, (2, 3, 1): 1, (10, 3, 58): 1,
        (40, 1, 0): 1, (44, 3, 0): 1,
    }  # fmt: skip


def test_a_socket_that_could_not_be_made_is_none(kernel: Kernel) -> None:
    code = (
        "import os, socket\nos.setuid(65534)\n"
        "try: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)\n"
        "except PermissionError: pass"
    )
    assert python(kernel, code).made == {}
