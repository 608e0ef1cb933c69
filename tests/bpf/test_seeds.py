"""What ran before recording began: its phase, its sockets, and what it does while we attach."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from profiler.identity.hierarchy import Hierarchy
from profiler.loaders.base import KernelConfig
from profiler.loaders.core import CoreLoader
from tests.bpf.seen import Seen

pytestmark = pytest.mark.bpf

_SERVER = """
import os, socket, subprocess, sys
chosen = socket.create_server(("127.0.0.1", 0))
tcp_port = chosen.getsockname()[1]
chosen.close()
tcp = socket.create_server(("127.0.0.1", tcp_port))
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.bind(("127.0.0.1", 0))
port = bound.getsockname()[1]
bound.close()
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.bind(("127.0.0.1", port))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.sendto(b"x", ("127.0.0.1", 9))
local = socket.socket(socket.AF_UNIX)
local.bind(b"\\0ethogram-seed-%d" % tcp_port)
local.listen()
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(b"\\0ethogram-seed-log-%d" % tcp_port)
print(tcp_port, port, flush=True)
for line in sys.stdin:
    if line == "exec\\n":
        subprocess.run(["/bin/true"])
    else:
        client.sendto(b"x", ("127.0.0.1", 9))
        for _ in range(23):
            os.getppid()
    print("done", flush=True)
"""


class _Server:
    """A process that listens, in a cgroup of its own, and does what it is told."""

    def __init__(self, cgroup_id: int, process: subprocess.Popen[str]) -> None:
        self.cgroup_id = cgroup_id
        self._process = process
        assert process.stdout is not None
        self.tcp_port, self.udp_port = map(int, process.stdout.readline().split())

    def do(self, what: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        assert self._process.stdout.readline() == "done\n"

    def recorded(self, *, meanwhile: Callable[[], None] = lambda: None) -> Seen:
        """Attach, with *meanwhile* before what runs is looked at, and let it work in a window."""
        loader = CoreLoader(KernelConfig(record_by_default=False, recorder_tgid=os.getpid()))

        def set_targets() -> None:
            loader.set_target(self.cgroup_id, is_recorded=True)
            meanwhile()

        try:
            loader.attach(set_targets)
            loader.arm()
            self.do("work")
            return Seen(loader.end_window(), [self.cgroup_id])
        finally:
            loader.close()


@contextmanager
def _serving() -> Iterator[_Server]:
    mount = Hierarchy().mount
    assert mount is not None
    cgroup = mount / f"ethogram-test-{secrets.token_hex(4)}"
    cgroup.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            (cgroup / "cgroup.procs").write_text(f"{process.pid}")
            yield _Server(cgroup.stat().st_ino, process)
        finally:
            process.kill()
            process.wait()
            cgroup.rmdir()


@pytest.fixture
def server() -> Iterator[_Server]:
    with _serving() as found:
        yield found


def test_ports_that_were_open_are_listened_on(server: _Server) -> None:
    found = {flow[0]: flow[2] for flow in server.recorded().flows}
    assert found["listen"] == server.tcp_port
    assert found["bind"] == server.udp_port


def test_unix_sockets_that_had_a_name_are_there(server: _Server) -> None:
    assert server.recorded().unix == [
        ("bind", b"\0ethogram-seed-log-%d" % server.tcp_port, 1),
        ("listen", b"\0ethogram-seed-%d" % server.tcp_port, 1),
    ]


def test_a_datagram_from_a_port_that_the_kernel_chose_is_outgoing(server: _Server) -> None:
    flows = server.recorded().flows
    assert ("out", "127.0.0.1", None, 9, 1) in flows
    assert "in" not in {flow[0] for flow in flows}


def test_what_executes_while_we_attach_makes_no_new_beginning(server: _Server) -> None:
    seen = server.recorded(meanwhile=lambda: server.do("exec"))
    assert seen.calls("steady")["getppid"] == 23
