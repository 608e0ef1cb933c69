"""Where an exec happens: its streams and whom they talk to, its groups, namespaces and filters."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ethogram.contracts.tables import ENUMS
from profiler.exec_ids import ExecIds
from profiler.process_records import FACTS, executed
from profiler.ring import Records
from tests.bpf.conftest import Kernel
from tests.bpf.seen import Executed, Seen
from tests.workloads import known

pytestmark = pytest.mark.bpf

V4, V6, UNIX, STREAM, DATAGRAM = 2, 10, 1, 1, 2
_NAMESPACES = ("mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time")


def _facts(one: Executed) -> dict[str, Any]:
    records = Records(np.array([one.head], one.head.dtype), [one.tail])
    (said,) = executed(records, ExecIds("host", "boot"))
    facts = dict(zip(FACTS, said.facts, strict=True))
    stdio = [ENUMS["stdio"][code] for code in facts["stdio"]]
    return facts | {"stdio": stdio, "tgid": said.tgid, "ns_tgid": said.ns_tgid}


def _facts_of_last(seen: Seen) -> dict[str, Any]:
    return _facts(seen.execs[-1])


def _peer_of(kernel: Kernel, code: str) -> dict[str, Any]:
    """Return what the record of a program says of its standard input, which *code* makes, `s`."""
    script = f"import os, socket\n{code}\nos.dup2(s.fileno(), 0)\nos.execv('/bin/true', ['true'])"
    facts = _facts_of_last(kernel.run(argv=[sys.executable, "-S", "-c", script]))
    assert facts["stdio"][0] == "socket"
    (peer,) = facts["stdio_peers"]
    assert peer["fd"] == 0
    return peer


def test_a_connected_stream_names_both_ends(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        peer = _peer_of(kernel, f"s = socket.create_connection(('127.0.0.1', {port}))")
    assert (peer["family"], peer["type"]) == (V4, STREAM)
    assert (peer["local_addr"], peer["peer_addr"]) == (b"\x7f\0\0\1", b"\x7f\0\0\1")
    assert peer["peer_port"] == port
    assert peer["local_port"] not in (None, port)


def test_an_accepted_stream_has_the_server_s_port_on_this_side(kernel: Kernel) -> None:
    code = (
        "import os, socket; l = socket.create_server(('127.0.0.1', 0)); own = l.getsockname()\n"
        "c = socket.create_connection(own); s, other = l.accept(); os.dup2(s.fileno(), 0)\n"
        "os.execv('/bin/true', ['true', str(own[1]), str(other[1])])"
    )
    executed = kernel.run(argv=[sys.executable, "-S", "-c", code]).execs[-1]
    (peer,) = _facts(executed)["stdio_peers"]
    assert [peer["local_port"], peer["peer_port"]] == [int(word) for word in executed.argv[1:]]


def test_a_v4_address_in_v6_clothes_is_v4(kernel: Kernel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"('::ffff:127.0.0.1', {server.getsockname()[1]})"
        peer = _peer_of(kernel, f"s = socket.socket(socket.AF_INET6); s.connect({address})")
    assert (peer["family"], peer["peer_addr"]) == (V4, b"\x7f\0\0\1")


def test_a_v6_datagram_socket_has_sixteen_bytes(kernel: Kernel) -> None:
    code = "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.connect(('::1', 9))"
    peer = _peer_of(kernel, code)
    assert (peer["family"], peer["type"]) == (V6, DATAGRAM)
    assert (peer["peer_addr"], peer["peer_port"]) == (bytes(15) + b"\1", 9)


def test_what_is_not_connected_has_no_peer(kernel: Kernel) -> None:
    peer = _peer_of(kernel, "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)")
    assert (peer["peer_addr"], peer["peer_port"], peer["unix_path"]) == (None, None, None)


@contextmanager
def _listening(name: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        yield


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_unix_socket_has_the_path_of_what_listens(
    kernel: Kernel, tmp_path: Path, kind: str
) -> None:
    name = f"\0ethogram-{os.getpid()}" if kind == "abstract" else str(tmp_path / "listens")
    with _listening(name):
        peer = _peer_of(kernel, f"s = socket.socket(socket.AF_UNIX); s.connect({name!r})")
    assert (peer["family"], peer["unix_path"]) == (UNIX, name.encode())


def test_the_end_of_a_unix_socket_that_was_accepted_has_its_own_path(
    kernel: Kernel, tmp_path: Path
) -> None:
    name = str(tmp_path / "listens")
    code = (
        f"l = socket.socket(socket.AF_UNIX); l.bind({name!r}); l.listen()\n"
        f"c = socket.socket(socket.AF_UNIX); c.connect({name!r}); s, _ = l.accept()"
    )
    assert _peer_of(kernel, code)["unix_path"] == name.encode()


def test_a_pair_of_sockets_has_no_name(kernel: Kernel) -> None:
    peer = _peer_of(kernel, "s, t = socket.socketpair()")
    assert (peer["family"], peer["unix_path"]) == (UNIX, None)


def test_all_three_streams_can_be_sockets(kernel: Kernel) -> None:
    code = (
        "import os, socket; s, t = socket.socketpair()\n"
        "for fd in range(3): os.dup2(s.fileno(), fd)\n"
        "os.execv('/bin/true', ['true', 'an', 'argument'])"
    )
    last = kernel.run(argv=[sys.executable, "-S", "-c", code]).execs[-1]
    assert [peer["fd"] for peer in _facts(last)["stdio_peers"]] == [0, 1, 2]
    assert last.argv == ["true", "an", "argument"]


def test_streams_that_are_no_sockets_have_no_peers(kernel: Kernel) -> None:
    facts = _facts_of_last(kernel.run(["call", 110, 1]))
    assert (facts["stdio"], facts["stdio_peers"]) == (["null", "pipe", "pipe"], [])


def test_a_process_has_its_group_and_session(kernel: Kernel) -> None:
    code = "import os; os.fork() or (os.setsid(), os.execv('/bin/true', ['true'])); os.wait()"
    first, second = kernel.run(argv=[sys.executable, "-S", "-c", code]).execs
    before, after = _facts(first), _facts(second)
    assert (before["pgid"], before["sid"]) == (os.getpgid(0), os.getsid(0))
    assert (after["pgid"], after["sid"]) == (after["tgid"], after["tgid"])


def test_a_group_from_outside_a_pid_namespace_has_no_number_in_it(kernel: Kernel) -> None:
    inside = ["unshare", "--pid", "--fork"]
    alone = _facts_of_last(kernel.run(argv=[*inside, *known(["call", 110, 1])]))
    assert (alone["ns_tgid"], alone["ns_pgid"], alone["ns_sid"]) == (1, 0, 0)
    leads = _facts_of_last(kernel.run(argv=[*inside, "setsid", *known(["call", 110, 1])]))
    assert (leads["ns_pgid"], leads["ns_sid"]) == (1, 1)
    assert leads["sid"] == leads["tgid"] != 1


def _own() -> list[int]:
    return [Path(f"/proc/self/ns/{name}").stat().st_ino for name in _NAMESPACES]


def test_all_namespaces_of_a_process_are_told(kernel: Kernel) -> None:
    assert _facts_of_last(kernel.run(["call", 110, 1]))["namespaces"] == _own()


def test_those_that_it_left_are_others(kernel: Kernel) -> None:
    left = ["unshare", "--uts", "--net", "--user", "--map-root-user"]
    facts = _facts_of_last(kernel.run(argv=[*left, *known(["call", 110, 1])]))
    pairs = zip(_NAMESPACES, facts["namespaces"], _own(), strict=True)
    assert {name for name, inum, own in pairs if inum != own} == {"uts", "net", "user"}
    others = {2, 3, 5}
    assert all(facts["host_namespace_bits"] >> bit & 1 == 0 for bit in others)


def test_the_pid_namespace_is_its_own_and_not_its_children_s(kernel: Kernel) -> None:
    facts = _facts_of_last(kernel.run(argv=["unshare", "--pid", *known(["call", 110, 1])]))
    assert facts["namespaces"][1] == _own()[1]
    assert facts["ns_tgid"] == facts["tgid"]


def test_filters_are_counted(kernel: Kernel) -> None:
    filters = ["seccomp", 110, "errno", 1], ["seccomp", 111, "errno", 1]
    facts = _facts_of_last(kernel.run(*filters, ["exec", "/bin/true"]))
    assert (facts["seccomp_mode"], facts["seccomp_filters"]) == (2, 2)
    plain = _facts_of_last(kernel.run(["call", 110, 1]))
    assert (plain["seccomp_mode"], plain["seccomp_filters"]) == (0, 0)
