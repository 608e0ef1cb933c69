"""A connection to the socket of a container runtime."""

import pytest

from tests.unit.indicators.judging import fires, seen, taints

pytestmark = pytest.mark.unit

NAME = "runtime-socket"


def to(path: bytes, **more: object) -> dict[str, object]:
    return {"direction": "out", "family": 1, "type": 1, "unix_path": path} | more


def test_sockets_of_runtimes_fire() -> None:
    paths = [
        b"/var/run/docker.sock",
        b"/run/containerd/containerd.sock",
        b"/run/containerd/containerd.sock.ttrpc",
        b"/run/k3s/containerd/containerd.sock",
        b"/var/run/crio/crio.sock",
        b"/run/user/1000/podman/podman.sock",
        b"/run/buildkit/buildkitd.sock",
        b"/var/lib/lxd/unix.socket",
        b"\0/containerd-shim/moby/0a1b/shim.sock@",
        b"/run/containerd/s/" + b"0123456789abcdef" * 4,
    ]
    rows = seen("network", *map(to, paths))
    assert fires(NAME, rows) == [True] * len(paths)


def test_other_sockets_and_other_sides_of_these_do_not() -> None:
    rows = seen(
        "network",
        to(b"/run/postgresql/.s.PGSQL.5432"),
        to(b"/dev/log"),
        to(b"/srv/docker.socket"),
        to(b"/var/run/docker.sock", direction="listen"),
        to(b"/var/run/docker.sock", direction="in"),
        to(b"/var/run/docker.sock", phase="runtime"),
        {"direction": "out", "family": 2, "type": 1, "peer_addr": b"\x7f\0\0\1"},
    )
    assert fires(NAME, rows) == [False] * 7


def test_a_tool_that_connects_taints() -> None:
    programs = [b"/usr/bin/curl", b"/usr/bin/dockerd-manager"]
    rows = seen("network", *(to(b"/run/docker.sock", exe_path=name) for name in programs))
    assert taints(NAME, rows) == [True, False]
