"""Peers and listeners, with direction from TCP's own state and the owner from the socket."""

import os
import socket
import sys
import threading

import pytest

from ethogram.contracts.events import RecordKind
from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def test_a_connect_is_outgoing_to_its_peer(kernel: Kernel, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    seen = kernel.run(["repeat", 23, [["connect", "127.0.0.1", port]]])
    assert seen.flows == [("out", "127.0.0.1", None, port, 23)]


def test_a_mapped_peer_is_its_v4_address(kernel: Kernel, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    seen = kernel.run(["connect6", "::ffff:127.0.0.1", port])
    assert [flow[:4] for flow in seen.flows] == [("out", "127.0.0.1", None, port)]


def test_a_v6_peer_keeps_its_address(kernel: Kernel) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        seen = kernel.run(["connect6", "::1", port])
    assert [flow[:4] for flow in seen.flows] == [("out", "0" * 31 + "1", None, port)]


def test_a_refused_connect_is_a_peer_all_the_same(kernel: Kernel) -> None:
    assert [flow[:4] for flow in kernel.run(["connect", "127.0.0.1", 9]).flows] == [
        ("out", "127.0.0.1", None, 9)
    ]


def test_an_accepted_connection_is_incoming_without_the_client_s_port(kernel: Kernel) -> None:
    port = free_port()

    def connect() -> None:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                return
            except ConnectionRefusedError:
                stop.wait(0.01)

    stop = threading.Event()
    client = threading.Thread(target=connect)
    client.start()
    seen = kernel.run(["listen", port, "127.0.0.1"], ["accept", 1])
    stop.set()
    client.join()
    found = {flow[0]: flow[1:] for flow in seen.flows}
    assert found["listen"][1] == port
    assert found["in"] == ("127.0.0.1", port, None, 1)
    assert found["bind"][1] == port


def test_a_datagram_is_outgoing(kernel: Kernel) -> None:
    seen = kernel.run(["udp", "127.0.0.1", 9, "hello"])
    assert seen.flows == [("out", "127.0.0.1", None, 9, 1)]


def test_multipath_tcp_listens_accepts_and_connects_as_tcp_does(kernel: Kernel) -> None:
    port = free_port()
    code = (
        "import socket; kind = socket.AF_INET, socket.SOCK_STREAM, 262\n"
        f"server = socket.socket(*kind); server.bind(('127.0.0.1', {port})); server.listen()\n"
        "for protocol in (0, 262):\n"
        "    client = socket.socket(*kind[:2], protocol); client.connect(server.getsockname())\n"
        "    server.accept()[0].close(); client.close()"
    )
    found = {flow[0]: flow for flow in kernel.run(argv=[sys.executable, "-S", "-c", code]).flows}
    assert found["listen"][2] == port
    assert found["in"] == ("in", "127.0.0.1", port, None, 2)
    assert found["out"] == ("out", "127.0.0.1", None, port, 2)


def test_a_port_that_the_kernel_chose_is_null(kernel: Kernel) -> None:
    code = (
        "import socket\n"
        "for _ in range(3):\n"
        "    server = socket.create_server(('127.0.0.1', 0))\n"
        "    client = socket.create_connection(server.getsockname()); server.accept()[0].close()\n"
        "    client.close(); server.close()"
    )
    flows = kernel.run(argv=[sys.executable, "-S", "-c", code]).flows
    assert {(flow[0], flow[2]) for flow in flows} == {("listen", None), ("in", None), ("out", None)}
    assert sum(flow[4] for flow in flows if flow[0] == "listen") == 3


def test_a_socket_that_outlives_its_instance_begins_no_new_one(
    kernel: Kernel, listener: socket.socket
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = (
        f"import socket; client = socket.create_connection({listener.getsockname()!r})\n"
        f"channel = socket.socket(fileno={theirs.fileno()})\n"
        "socket.send_fds(channel, [b'x'], [client.fileno()])"
    )
    with ours, theirs:
        seen = kernel.run(argv=[sys.executable, "-S", "-c", code], pass_fds=[theirs.fileno()])
        assert seen.phase_of
        _, (client,), _, _ = socket.recv_fds(ours, 1, 1)
    listener.accept()[0].close()
    os.close(client)
    assert RecordKind.SLOT not in kernel.loader.end_window().records


def test_a_long_dns_reply_is_whole(kernel: Kernel) -> None:
    code = (
        "import socket; asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "asking.settimeout(10); asking.sendto(b'?', ('127.0.0.77', 53)); asking.recv(4096)"
    )
    payload = bytes(range(256)) * 4 + bytes(208)  # 1,232: the most that resolvers send
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.77", 53))
        resolver.settimeout(30)

        def answer() -> None:
            _, client = resolver.recvfrom(512)
            resolver.sendto(payload, client)

        answering = threading.Thread(target=answer)
        answering.start()
        seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
        answering.join()
    (batch,) = seen.drained.records[RecordKind.PACKET]
    assert batch.tails[0][: int(batch.heads[0]["payload_size"])] == payload
    assert seen.losses == []
