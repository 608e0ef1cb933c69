"""An S3-compatible server on loopback, behind a gate that a test can close."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from s3fs import S3FileSystem

__all__ = ["Gate", "s3_gate", "s3_server"]

_SERVER = """
import sys
from werkzeug.serving import make_server
from moto.server import DomainDispatcherApplication, create_backend_app
app = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, app, threaded=True)
print("port", server.port, flush=True)
server.serve_forever()
"""


class Gate:
    """Passes requests on to the server, or answers them with *refusing*, a status.

    `is_down` hangs up at once. Each request that is not passed on sets `refused`.
    """

    def __init__(self, port: int) -> None:
        self.refusing: int | None = None
        self.is_down = False
        self.refused = threading.Event()
        self.puts: list[str] = []
        self.passed = threading.Condition()
        self._upstream = port
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                if gate.is_down:
                    gate.refused.set()
                    self.close_connection = True
                    return
                if gate.refusing is not None and self.command != "GET":
                    gate.refused.set()
                    self._answer(gate.refusing, {}, b"<Error><Code>Refused</Code></Error>")
                    return
                upstream = HTTPConnection("127.0.0.1", gate._upstream)
                headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                data = answer.read()
                self._answer(answer.status, dict(answer.getheaders()), data)
                upstream.close()
                with gate.passed:
                    if self.command == "PUT":
                        gate.puts.append(self.path.partition("?")[0])
                    gate.passed.notify_all()

            def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    skipped = {"transfer-encoding", "connection"}
                    if self.command != "HEAD":
                        skipped.add("content-length")
                    if name.lower() not in skipped:
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data if self.command != "HEAD" else b"")

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for_put(self, pattern: str) -> None:
        """Wait until an object whose path matches *pattern* has arrived."""
        with self.passed:
            assert self.passed.wait_for(
                lambda: any(re.search(pattern, path) for path in self.puts), 60
            ), f"no {pattern} in {self.puts}"

    def environment(self) -> dict[str, str]:
        """Return the environment of who may write to it."""
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret-key",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def s3_gate() -> Iterator[Gate]:
    """Run a server with an empty bucket `shelf`, and a gate before it, while the block runs."""
    with s3_server() as port:
        gate = Gate(port)
        try:
            yield gate
        finally:
            gate.close()
            # It would be asked for the next server, which listens elsewhere.
            S3FileSystem.clear_instance_cache()


def _here(work: Callable[[], Any]) -> Any:
    return work()


@contextmanager
def s3_server(place: Callable[[Callable[[], Any]], Any] = _here) -> Iterator[int]:
    """Run a server with an empty bucket `shelf`; yield its port. *place* calls what listens."""

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    process: subprocess.Popen[str] = place(start)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split()[1])
        place(lambda: _make_bucket(port))
        yield port
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _make_bucket(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("PUT", "/shelf")
    assert connection.getresponse().status == 200
    connection.close()
