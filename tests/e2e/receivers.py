"""Receivers of findings, on loopback: real ones, and small ones that can fail on request."""

from __future__ import annotations

import json
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Post", "Receiver", "alertmanager", "http_receiver", "rsyslog", "until"]

PATIENCE_S = 30.0


class Post:
    """A request that arrived."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path, self.headers, self.body = path, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Keeps what is posted; answers `answers` first, a status and headers each, then *answer*."""

    def __init__(self, answer: bytes) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.answer = answer
        self.posts: list[Post] = []
        self.changed = threading.Condition()
        self.port = 0

    def wait_for(self, count: int) -> list[Post]:
        """Return the posts once there are *count* of them."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.posts) >= count, PATIENCE_S), self.posts
            return list(self.posts)


@contextmanager
def http_receiver(
    *, tls: ssl.SSLContext | None = None, answer: bytes = b"", port: int = 0
) -> Iterator[Receiver]:
    """Run a receiver of HTTP posts."""
    receiver = Receiver(answer)
    opened: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
            if status == 200:
                with receiver.changed:
                    receiver.posts.append(Post(self.path, dict(self.headers.items()), body))
                    receiver.changed.notify_all()
            data = receiver.answer if status == 200 else b"no"
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def process_request(self, request: Any, client_address: Any) -> None:
            opened.append(request)
            super().process_request(request, client_address)

        def handle_error(self, *_: Any) -> None:
            pass  # who does not trust our certificate hangs up

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def alertmanager(directory: Path) -> Iterator[int]:
    """Run Debian's Alertmanager on a port of its own, which is returned."""
    (directory / "am.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    port = _free_port()
    words = [
        "prometheus-alertmanager", f"--config.file={directory}/am.yml",
        f"--storage.path={directory}/am", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=", "--log.level=warn",
    ]  # fmt: skip
    with _running(words, directory / "am.log") as process:
        until(lambda: _answers(port), process)
        yield port


@contextmanager
def rsyslog(directory: Path, *, tls: Sequence[Path] = ()) -> Iterator[tuple[int, Path]]:
    """Run Debian's rsyslog, over TLS with the files *tls* (CA, certificate, key).

    Return its port, and the file with a line of JSON for each message.
    """
    port, out = _free_port(), directory / "messages.jsonl"
    driver = 'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"'
    lines = [
        'module(load="imtcp")',
        f'input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="r"'
        f" {driver if tls else ''})",
        'template(name="all" type="string" string="%jsonmesg%\\n")',
        f'ruleset(name="r") {{ action(type="omfile" file="{out}" template="all") }}',
    ]
    if tls:
        ca, certificate, key = tls
        lines.insert(
            0,
            f'global(DefaultNetstreamDriver="gtls" DefaultNetstreamDriverCAFile="{ca}" '
            f'DefaultNetstreamDriverCertFile="{certificate}" '
            f'DefaultNetstreamDriverKeyFile="{key}")',
        )
    (directory / "rsyslog.conf").write_text("\n".join(lines) + "\n")
    words = ["rsyslogd", "-n", "-f", f"{directory}/rsyslog.conf", "-i", f"{directory}/rsyslog.pid"]
    with _running(words, directory / "rsyslog.log") as process:
        until(lambda: _listens(port), process)
        yield port, out


def until(holds: Any, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until *holds*; fail where *process* has ended before, or where it takes too long."""
    nothing = select.poll()
    for _ in range(int(PATIENCE_S * 50)):
        if holds():
            return
        assert process is None or process.poll() is None, "the receiver has ended"
        nothing.poll(20)
    raise AssertionError("it did not come about in time")


@contextmanager
def _running(words: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
