"""Peers and listeners, with direction from TCP's own state and the owner from the socket."""

import socket
import threading

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

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
