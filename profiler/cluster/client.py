"""Lists and watches what the API server has: no call of `ReadOnlyClient` changes anything.

https://kubernetes.io/docs/reference/using-api/api-concepts/ says what is relied on here: lists in
parts (`limit`, `continue`), watches from a `resourceVersion`, bookmarks, and status 410 for one
that the server no longer has.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from ethogram import __version__
from ethogram.contracts.escape import escape
from ethogram.errors import UsageError
from profiler.cluster.access import Access

__all__ = ["ClusterError", "ExpiredError", "ReadOnlyClient", "RefusedError", "WatchEvent"]

WatchEvent = tuple[str, dict[str, Any]]

_PART, _LEAST_PART = 250, 10
_MOST_PARTS = 20_000
_CONNECT_S, _READ_S = 5.0, 60.0
# The server ends a watch after this time; a connection that is dead is found by keepalive.
_WATCH_S = 290
_LINE_BYTES = 16 << 20  # etcd takes objects up to 1.5 MiB
_BODY_BYTES = 32 << 20  # of a part: larger ones are asked for in smaller parts
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class ClusterError(Exception):
    """The API server did not answer as it should; the text says how. *after_s*: not before."""

    def __init__(self, message: str, *, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class RefusedError(ClusterError):
    """We may not do this, or there is no such thing here: *status* is 401, 403 or 404."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class _TooLargeError(ClusterError):
    """An answer has more bytes than are read."""


class ExpiredError(ClusterError):
    """The server no longer has what is asked for: list again."""


class ReadOnlyClient:
    """Speaks to the API server of *access*; may be used by several threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._base = urllib3.util.parse_url(access.server).path or ""
        options: dict[str, Any] = {"ssl_context": access.tls}
        if access.name is not None:
            options |= {"server_hostname": access.name, "assert_hostname": access.name}
        self._pool = urllib3.connection_from_url(
            access.server,
            maxsize=16,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
            socket_options=[*urllib3.connection.HTTPConnection.default_socket_options, *_KEEPALIVE],
            **options,
        )
        self._open: set[urllib3.BaseHTTPResponse] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def list(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the list at *path* in its parts, each a `...List` with `metadata` and `items`.

        Raises `ClusterError`; `ExpiredError` where it went on for too long.
        """
        asked, size = dict(query or {}), _PART
        for _ in range(_MOST_PARTS):
            try:
                part = self._document(path, {**asked, "limit": str(size)})
            except _TooLargeError:
                if size <= _LEAST_PART:
                    raise
                size = max(_LEAST_PART, size // 4)
                continue
            if not isinstance(part.get("items") or [], list):
                raise ClusterError(f"`{path}` is no list")
            yield part
            metadata = part.get("metadata")
            token = metadata.get("continue") if isinstance(metadata, dict) else None
            if not isinstance(token, str) or not token:
                return
            if token == asked.get("continue"):
                raise ClusterError(f"the list at `{path}` does not go on")
            asked["continue"] = token
        raise ClusterError(f"the list at `{path}` has more than {_MOST_PARTS:,} parts")

    def watch(
        self, path: str, resource_version: str, query: Mapping[str, str] | None = None
    ) -> Iterator[WatchEvent]:
        """Yield what changes at *path* after *resource_version*: its type, and the object.

        Ends where the server ends it. Raises `ClusterError`, `ExpiredError` after status 410.
        """
        asked = {
            **(query or {}),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_S),
        }
        # Bookmarks come once a minute; how long nothing comes says nothing.
        answer = self._request(path, asked, read_s=_WATCH_S + _READ_S)
        try:
            for line in self._lines(answer):
                yield _event(line, path)
        finally:
            self._release(answer)

    def get(self, path: str) -> dict[str, Any]:
        """Return the document at *path*. Raises `ClusterError`."""
        return self._document(path, {})

    def close(self) -> None:
        """End what is being read, from whatever thread."""
        with self._lock:
            self._is_closed = True
            for answer in self._open:
                # One that is at its end, or whose server hung up, has nothing left to end.
                with suppress(OSError, ValueError, RuntimeError):
                    answer.shutdown()
        self._pool.close()

    # --- one request -------------------------------------------------------------------------

    def _document(
        self, path: str, query: Mapping[str, str], merged: bytes | None = None
    ) -> dict[str, Any]:
        answer = self._request(path, query, read_s=_READ_S, merged=merged)
        try:
            content = b"".join(self._chunks(answer, _BODY_BYTES))
        finally:
            self._release(answer)
        return _object(content, path)

    def _request(
        self, path: str, query: Mapping[str, str], *, read_s: float, merged: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Return the answer; *merged* is a JSON merge patch for what is at *path* (RFC 7386)."""
        headers = {"Accept": "application/json", "User-Agent": f"ethogram/{__version__}"}
        if merged is not None:
            headers["Content-Type"] = "application/merge-patch+json"
        try:
            if (token := self._access.token()) is not None:
                headers["Authorization"] = f"Bearer {token}"
            answer = self._pool.urlopen(
                "GET" if merged is None else "PATCH",
                f"{self._base}{path}?{urlencode(query)}",
                body=merged,
                headers=headers,
                redirect=False,  # the token is not for whoever is named there
                preload_content=False,
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_s),
            )
        except (HTTPError, OSError) as error:
            raise ClusterError(_failure(error)) from error
        except UsageError as error:  # the token's file
            raise ClusterError(error.message) from error
        with self._lock:
            if self._is_closed:
                answer.close()
                raise ClusterError("closed")
            self._open.add(answer)
        if answer.status != 200:
            try:
                raise _refusal(answer.status, self._message(answer), path, answer.headers)
            finally:
                self._release(answer)
        return answer

    def _release(self, answer: urllib3.BaseHTTPResponse) -> None:
        with self._lock:
            self._open.discard(answer)
        # What was read to its end goes back to the pool by itself; of the rest nobody wants more.
        answer.close()
        answer.release_conn()

    def _message(self, answer: urllib3.BaseHTTPResponse) -> str:
        try:
            content = b"".join(self._chunks(answer, 1 << 16))
            message = json.loads(content).get("message", "")
        except (ClusterError, ValueError, AttributeError, RecursionError):
            return ""
        return escape(str(message)[:200])

    def _chunks(self, answer: urllib3.BaseHTTPResponse, limit: int) -> Iterator[bytes]:
        total = 0
        try:
            for chunk in answer.stream(1 << 16, decode_content=True):
                total += len(chunk)
                if total > limit:
                    raise _TooLargeError(f"an answer of more than {limit >> 20} MiB")
                yield chunk
        except (HTTPError, OSError) as error:
            raise ClusterError(_failure(error)) from error

    def _lines(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        rest = bytearray()
        try:
            while chunk := answer.read1(1 << 16, decode_content=True):
                first, *others = chunk.split(b"\n")
                rest += first
                if others:
                    lines = [bytes(rest), *others[:-1]]
                    rest = bytearray(others[-1])
                    yield from (line for line in lines if line.strip())
                if len(rest) > _LINE_BYTES:
                    raise ClusterError(f"an event of more than {_LINE_BYTES >> 20} MiB")
        except (HTTPError, OSError) as error:
            raise ClusterError(_failure(error)) from error


def _object(content: bytes, path: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ClusterError(f"what `{path}` answers is no JSON") from error
    if not isinstance(document, dict):
        raise ClusterError(f"what `{path}` answers is no object")
    return document


def _event(line: bytes, path: str) -> WatchEvent:
    match _object(line, path):
        case {"type": "ERROR", "object": {"code": int(code), **rest}}:
            raise _refusal(code, escape(str(rest.get("message", ""))[:200]), path, {})
        case {"type": str(kind), "object": dict(item)}:
            return kind, item
    raise ClusterError(f"what `{path}` tells is no event of a watch")


def _refusal(status: int, message: str, path: str, headers: Mapping[str, str]) -> ClusterError:
    text = f"status {status} for `{path}`" + (f": {message}" if message else "")
    if status == 410:
        return ExpiredError(text)
    if status in (401, 403, 404):
        return RefusedError(text, status=status)
    after = headers.get("Retry-After", "")
    return ClusterError(text, after_s=float(after) if after.isdecimal() and len(after) < 5 else 0)


_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
    (urllib3.exceptions.NameResolutionError, "its name is not known"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (urllib3.exceptions.NewConnectionError, "nobody answers there"),
    (urllib3.exceptions.ProtocolError, "the connection ended in the middle"),
)


def _failure(error: Exception) -> str:
    """Return in words why there was no answer; nothing that the other side said is in it."""
    if isinstance(error, urllib3.exceptions.SSLError):
        return f"TLS failed: {escape(str(error)[:200])}"
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    return f"that is no HTTP: {type(error).__name__}"
