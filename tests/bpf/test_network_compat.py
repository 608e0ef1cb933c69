"""Sockets by calls of the 32-bit table, which a 64-bit process makes as well: `int $0x80`."""

import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bpf.conftest import Kernel

pytestmark = pytest.mark.bpf


@pytest.fixture(params=["direct", "socketcall"])
def how(request: pytest.FixtureRequest) -> list[object]:
    return ["sockets", request.param]


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_peer_is_named_as_it_bound(kernel: Kernel, how: list[object], tmp_path: Path) -> None:
    bound, link = tmp_path / "docker.sock", tmp_path / "harmless"
    link.symlink_to(bound)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bound))
        server.listen()
        assert kernel.run(how, ["unix", str(link)]).unix == [("out", str(bound).encode(), 1)]


def test_a_connect_that_failed_has_the_name_that_was_asked_for(
    kernel: Kernel, how: list[object]
) -> None:
    seen = kernel.run(how, ["unix", "/nowhere/docker.sock"], ["unix", "@nobody"])
    assert seen.unix == [("out", b"\0nobody", 1), ("out", b"/nowhere/docker.sock", 1)]


def test_who_listens_and_accepts_is_told(kernel: Kernel, how: list[object], tmp_path: Path) -> None:
    path = str(tmp_path / "served")
    seen = kernel.run(how, ["unix-listen", path], ["unix", path], ["accept", 1])
    assert seen.unix == [(way, path.encode(), 1) for way in ("bind", "in", "listen", "out")]


def test_datagrams_and_messages_have_their_names(kernel: Kernel, how: list[object]) -> None:
    seen = kernel.run(
        how, ["unix-datagram", "/nowhere/log"], ["unix-messages", "@one#", 1],
        ["unix-messages", "@more#", 3],
    )  # fmt: skip
    # Nobody has these names: the first message fails, and the others are not tried.
    assert [path for _, path, _ in seen.unix] == [b"\0morea", b"\0onea", b"/nowhere/log"]


@pytest.mark.parametrize("table", ["native", "direct", "socketcall"])
def test_of_many_messages_the_first_sixteen_have_names(kernel: Kernel, table: str) -> None:
    name = f"\0ethogram-{secrets.token_hex(4)}-"
    names = [f"{name}{letter}" for letter in "abcdefghijklmnopqrst"]
    with ExitStack() as bound:
        for each in names:
            server = bound.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            server.bind(each)
        seen = kernel.run(["sockets", table], ["unix-messages", f"@{name[1:]}#", 20])
    assert seen.unix == [("out", each.encode(), 1) for each in names[:16]]
    assert seen.losses == [("unseen", "network", 4)]


def test_a_socket_of_another_family_is_known_by_kind(kernel: Kernel) -> None:
    netlink = [16, 3, 0]
    assert kernel.run(["int80", 359, 1, *netlink]).made == {tuple(netlink): 1}


def test_internet_peers_pass_the_same_hooks(kernel: Kernel, how: list[object], port: int) -> None:
    seen = kernel.run(how, ["connect", "127.0.0.1", port], ["udp", "127.0.0.1", 9])
    assert set(seen.flows) == {
        ("out", "127.0.0.1", None, 9, 1), ("out", "127.0.0.1", None, port, 1),
    }  # fmt: skip


def test_a_listener_makes_its_workload_steady(kernel: Kernel, how: list[object]) -> None:
    seen = kernel.run(how, ["unix-listen", "@steady"], ["unix", "@afterwards"])
    phases = {
        key["path"].tobytes().strip(b"\0"): seen.phase_of[int(key["slot"])]
        for key, _ in seen._keys("unix_flows")
        if key["direction"] == 1
    }
    assert phases == {b"afterwards": "steady"}
