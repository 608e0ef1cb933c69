"""Real connections between network namespaces: servers that echo, and clients that try them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Attempt", "echoing", "reach"]

Attempt = tuple[str, str, int]  # `tcp` or `udp`, address, port

_SERVE = """\
import json, selectors, socket, sys
chosen = selectors.DefaultSelector()
for protocol, port in json.loads(sys.argv[1]):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", port))
    if protocol == "tcp":
        server.listen()
    chosen.register(server, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            with key.fileobj.accept()[0] as peer:
                peer.sendall(b"echo")
        else:
            key.fileobj.sendto(b"echo", key.fileobj.recvfrom(64)[1])
"""
_TRY = """\
import json, socket, sys
for protocol, address, port in json.loads(sys.argv[1]):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as peer:
        peer.settimeout(5)
        try:
            peer.connect((address, port))
            if protocol == "udp":
                peer.send(b"?")
                peer.recv(64)
            print("reached")
        except OSError as error:
            print(type(error).__name__, error)
"""


@contextmanager
def echoing(netns: Path, ports: Sequence[tuple[str, int]]) -> Iterator[None]:
    """Echo in *netns* on *ports*, by protocol and number, while the block runs."""
    process = subprocess.Popen(
        _in(netns, _SERVE, ports), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.communicate()


def reach(netns: Path, attempts: Sequence[Attempt]) -> list[bool]:
    """Return for each of *attempts*, made in *netns*, whether it was accepted or answered."""
    done = subprocess.run(_in(netns, _TRY, attempts), capture_output=True, check=True, timeout=120)
    results = done.stdout.decode().splitlines()
    assert len(results) == len(attempts), results
    return [result == "reached" for result in results]


def _in(netns: Path, script: str, argument: Sequence[Sequence[str | int]]) -> list[str]:
    return ["nsenter", f"--net={netns}", sys.executable, "-c", script, json.dumps(argument)]
