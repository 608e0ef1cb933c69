"""A small HTTP server in a thread: GET and HEAD, no body, one answer a connection.

The sensor never waits for it. It holds no lock, takes a connection every 50 ms at most, talks to so
many at once, and gives each so long: one that says nothing is cut off, and at once where a newer
one needs its place.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from profiler import privileges

__all__ = ["Answer", "Server", "listen"]

_BACKLOG = 64
_CLIENTS = 16
_HEAD_BYTES = 8192
_LEFT_OVER = 8
_PATIENCE_S = 5.0
_PACE_S = 0.05
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a client."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT

    @classmethod
    def text(cls, status: HTTPStatus, *lines: str) -> Answer:
        """Return *lines*, or what *status* is called where there are none."""
        text = "\n".join(lines or (status.phrase.lower(),))
        return cls(status, f"{text}\n".encode("utf-8", "backslashreplace"))

    def encoded(self, *, has_body: bool) -> bytes:
        """Return this as it is sent; without its body in answer to HEAD."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            *(("Allow: GET, HEAD",) if self.status == HTTPStatus.METHOD_NOT_ALLOWED else ()),
            "Connection: close",
        )
        return "\r\n".join([*head, "", ""]).encode("ascii") + (self.body if has_body else b"")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at *host*, an address, and *port*; 0 takes any.

    Nobody is answered until a `Server` begins: until then they wait.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


class Server:
    """Answers what comes to *listener*, by the path that is asked for. `close` in every case."""

    def __init__(self, listener: socket.socket, answer: Callable[[str], Answer]) -> None:
        self._listener = listener
        self._answer = answer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        """Begin, once privileges are dropped: a thread that was there before keeps its own."""
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        if self._thread.ident is not None:
            self._has_begun.wait()
            if self._loop is not None and self._serving is not None:
                with suppress(RuntimeError):  # it has ended
                    self._loop.call_soon_threadsafe(self._serving.cancel)
            self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            privileges.drop(frozenset())  # of this thread, which talks to strangers
            with suppress(asyncio.CancelledError), asyncio.Runner() as runner:
                runner.run(self._serve())
        finally:
            self._has_begun.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._serving = loop, asyncio.current_task()
        self._has_begun.set()
        self._listener.setblocking(False)
        clients: list[asyncio.Task[None]] = []
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # no descriptor is left, or the client has gone
                await asyncio.sleep(_PACE_S)
                continue
            clients = [one for one in clients if not one.done()]
            if len(clients) >= _CLIENTS:
                clients.pop(0).cancel()
            clients.append(loop.create_task(self._talk(client)))
            await asyncio.sleep(_PACE_S)

    async def _talk(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with client, suppress(OSError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                head = await self._head(client)
                if not head:
                    return
                await loop.sock_sendall(client, self._reply(head))
                client.shutdown(socket.SHUT_WR)
                # What is closed with something left to read is reset, and the answer lost with it.
                for _ in range(_LEFT_OVER):
                    if not await loop.sock_recv(client, _HEAD_BYTES):
                        break

    @staticmethod
    async def _head(client: socket.socket) -> bytes:
        """Return what *client* asks, whole unless it is too long; nothing where it went away."""
        loop = asyncio.get_running_loop()
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
            more = await loop.sock_recv(client, _HEAD_BYTES - len(head))
            if not more:
                return b""
            head += more
        return head

    def _reply(self, head: bytes) -> bytes:
        lines, end, _ = head.partition(b"\r\n\r\n")
        if not end:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            return Answer.text(status).encoded(has_body=True)
        words = lines.split(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or words[1][:1] != b"/":
            return Answer.text(HTTPStatus.BAD_REQUEST).encoded(has_body=True)
        method, target = words[0], words[1].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            return Answer.text(HTTPStatus.METHOD_NOT_ALLOWED).encoded(has_body=True)
        answer = self._answer(target.decode("ascii", "replace"))
        return answer.encoded(has_body=method == b"GET")
