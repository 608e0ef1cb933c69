"""What a recording says of sockets: names that came over TCP, paths, kinds, both ends."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from ethogram.contracts.baseline import load_baselines
from ethogram.contracts.recording import Recording
from tests.e2e.command_line import ethogram

pytestmark = pytest.mark.e2e

_RESOLVER = "127.0.0.78"
_PROGRAM = """
import socket
asking = socket.create_connection(({resolver!r}, 53))
asking.sendall(b"?")
while asking.recv(4096): pass
server = socket.create_server(("127.0.0.79", 0))
client = socket.create_connection(server.getsockname()); end = server.accept()[0]
client.sendall(b"x" * 1000); end.recv(1000, socket.MSG_WAITALL); client.close(); end.recv(1)
end.close()
local = socket.socket(socket.AF_UNIX); local.bind({path!r}); local.listen()
other = socket.socket(socket.AF_UNIX); other.connect({path!r}); local.accept()
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
"""


@pytest.fixture
def resolver() -> Iterator[None]:
    reply = dns.message.make_response(dns.message.make_query("redis.shop.svc", "A"))
    reply.answer.append(dns.rrset.from_text("redis.shop.svc.", 60, "IN", "A", "127.0.0.79"))
    wire = reply.to_wire()
    with socket.create_server((_RESOLVER, 53)) as server:
        server.settimeout(60)

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(16)
                client.sendall(len(wire).to_bytes(2, "big") + wire)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()


@pytest.mark.usefixtures("resolver")
def test_sockets_of_every_kind_are_recorded_and_learnt(tmp_path: Path) -> None:
    path = str(tmp_path / "service.sock")
    program = _PROGRAM.format(resolver=_RESOLVER, path=path)
    done = ethogram("record", "-o", tmp_path / "rec", "--", sys.executable, "-S", "-c", program)
    assert done.returncode == 0, done.stderr
    recording = Recording.open(tmp_path / "rec")
    (answer,) = recording.table("dns").to_pylist()
    assert (answer["qname"], answer["answers"]) == (b"redis.shop.svc", [b"\x7f\0\0\x4f"])
    rows = recording.table("network").to_pylist()
    (out,) = (row for row in rows if row["name"] == "redis.shop.svc" and row["direction"] == "out")
    (came,) = (row for row in rows if row["direction"] == "in" and row["family"] == socket.AF_INET)
    assert (out["connections"], out["tx_bytes"], out["rx_bytes"]) == (1, 1000, 0)
    assert (came["tx_bytes"], came["rx_bytes"]) == (0, 1000)
    assert came["peer_cookie"] == out["cookie"]
    named = {row["direction"] for row in rows if row["unix_path"] == path.encode()}
    assert named == {"bind", "listen", "out", "in"}
    done = ethogram("learn", "--allow", "thin", tmp_path / "rec", "-o", tmp_path / "baselines")
    assert done.returncode == 0, done.stderr
    ((_, baseline),) = load_baselines(tmp_path / "baselines")
    peers = {(rule.value.direction, rule.value.address) for rule in baseline.rules.peers}
    assert {("out", path), ("in", path)} <= peers
    listens = {(rule.value.protocol, rule.value.address) for rule in baseline.rules.listens}
    assert {("unix", path), ("netlink", "route")} <= listens
