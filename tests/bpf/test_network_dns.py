"""Replies of resolvers: datagrams, and streams in the order that their positions say."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ethogram.contracts.events import RecordKind
from profiler.dns_tcp import Streams
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Seen

pytestmark = pytest.mark.bpf

REPLIES = [bytes([number]) * size for number, size in enumerate((40, 3000, 12, 5000), 1)]
ASK = """
import socket
asking = socket.create_connection(({address!r}, 53), timeout=10)
asking.sendall(b"?")
while asking.recv(4096):
    pass
"""


@contextmanager
def resolver(address: str, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 53), family=family) as server:
        server.settimeout(30)

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.settimeout(30)
                client.recv(512)
                answer(client)

        answering = threading.Thread(target=serve)
        answering.start()
        yield
        answering.join()


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def messages(seen: Seen) -> list[bytes]:
    streams = Streams()
    found = []
    for batch in seen.drained.records.get(RecordKind.SEGMENT, []):
        for head, tail in zip(batch.heads, batch.tails, strict=True):
            payload = tail[: int(head["payload_size"])]
            found += streams.take(int(head["cookie"]), 0, int(head["position"]), payload)
    assert not streams.lost
    return found


@pytest.mark.parametrize("address", ["127.0.0.77", "::1"])
def test_replies_over_tcp_are_whole(kernel: Kernel, address: str) -> None:
    with resolver(address, lambda client: client.sendall(framed(*REPLIES[:3]))):
        seen = kernel.run(argv=[sys.executable, "-S", "-c", ASK.format(address=address)])
    assert messages(seen) == REPLIES[:3]
    assert seen.losses == []


def test_replies_in_many_small_parts(kernel: Kernel) -> None:
    def drip(client: socket.socket) -> None:
        data = framed(*REPLIES[:2])
        for at in range(0, len(data), 100):
            client.send(data[at : at + 100])

    with resolver("127.0.0.77", drip):
        seen = kernel.run(argv=[sys.executable, "-S", "-c", ASK.format(address="127.0.0.77")])
    assert messages(seen) == REPLIES[:2]
    assert seen.losses == []


def test_a_packet_of_more_than_is_kept_is_counted(kernel: Kernel) -> None:
    with resolver("127.0.0.77", lambda client: client.sendall(framed(bytes(20_000)))):
        seen = kernel.run(argv=[sys.executable, "-S", "-c", ASK.format(address="127.0.0.77")])
    assert ("truncated", "dns") in {(kind, place) for kind, place, _ in seen.losses}
    assert messages(seen) == []


def test_tcp_from_other_ports_is_not_looked_into(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(framed(b"x" * 50))

        answering = threading.Thread(target=serve)
        answering.start()
        code = f"import socket; socket.create_connection(('127.0.0.1', {port})).recv(100)"
        seen = kernel.run(argv=[sys.executable, "-S", "-c", code])
        answering.join()
    assert RecordKind.SEGMENT not in seen.drained.records


def test_a_reply_behind_extension_headers_is_found(kernel: Kernel) -> None:
    ask = (
        "import socket; asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "asking.settimeout(10); asking.sendto(b'?', ('::1', 53)); asking.recv(4096)"
    )
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 53))
        server.settimeout(30)
        padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # eight bytes of options that mean nothing
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)

        def answer() -> None:
            _, client = server.recvfrom(512)
            server.sendto(b"behind the headers", client)

        answering = threading.Thread(target=answer)
        answering.start()
        seen = kernel.run(argv=[sys.executable, "-S", "-c", ask])
        answering.join()
    (batch,) = seen.drained.records[RecordKind.PACKET]
    assert batch.tails[0][: int(batch.heads[0]["payload_size"])] == b"behind the headers"
