"""Posts over HTTP: one connection that is kept, no redirects, and plain words for what failed."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from types import MappingProxyType

from detector.sinks.credentials import AUTHORIZATION, TLS, authorization, tls_context
from detector.sinks.destination import Destination, time_of
from detector.sinks.protocol import LaterError, RefusedError
from ethogram import __version__
from ethogram.errors import UsageError

__all__ = ["HTTP", "HTTP_TRANSPORTS", "Poster", "failure"]

HTTP_TRANSPORTS = frozenset({"http", "https"})
HTTP: Mapping[str, str] = MappingProxyType(
    {
        **AUTHORIZATION,
        **TLS,
        "timeout": "how long to wait for an answer, such as `10s`, the default",
    }
)
_ANSWER_BYTES = 1 << 20
# What is wrong with the body itself. Whatever else is refused may be right tomorrow: a token that
# was not there yet, a path that a proxy does not know while its service restarts.
_NEVER = frozenset({400, 413, 422})


class Poster:
    """Posts to the place of *destination*, below which *path* is. `UsageError` where it is none."""

    def __init__(self, destination: Destination, path: str = "") -> None:
        self._destination = destination
        is_tls = destination.transport == "https"
        self._host, self._port = destination.address(port=443 if is_tls else 80)
        url = destination.url
        self._target = (url.path.rstrip("/") + path if path else url.path) or "/"
        if url.query:
            self._target += f"?{url.query}"
        if not self._target.isascii() or " " in self._target:
            raise UsageError(f"`{destination}` is no URL", hint="write it percent-encoded")
        self._timeout_s = time_of(destination.chosen("timeout", "10s"), "timeout")
        self._tls = tls_context(destination) if is_tls else None
        authorization(destination)
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes, content_type: str, headers: Mapping[str, str]) -> bytes:
        """Return what was answered to *body*; raise `LaterError` or `RefusedError`."""
        sent = {"Content-Type": content_type, "User-Agent": f"ethogram/{__version__}", **headers}
        try:
            if (value := authorization(self._destination)) is not None:
                sent["Authorization"] = value
        except UsageError as error:  # its file is being replaced, or is gone
            raise LaterError(error.message) from error
        is_kept = self._connection is not None
        try:
            try:
                return self._exchange(body, sent)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not is_kept:
                    raise
                self.close()  # the receiver had closed what was kept: no failure yet
                return self._exchange(body, sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise LaterError(failure(error)) from error

    def _exchange(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", self._target, body, dict(headers))
        answer = self._connection.getresponse()
        data = answer.read(_ANSWER_BYTES)
        if answer.will_close or not answer.isclosed():
            self.close()
        if 200 <= answer.status < 300:
            return data
        if answer.status in _NEVER:
            raise RefusedError(f"status {answer.status}")
        why = f"status {answer.status}"
        if 300 <= answer.status < 400:
            why += ", a redirect, which is not followed"
        raise LaterError(why, after_s=_seconds(answer.getheader("Retry-After")))

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )

    def close(self) -> None:
        """Close the connection; the next post makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _seconds(text: str | None) -> float:
    """Return how long `Retry-After` asks for; a date is not read."""
    return float(text) if text and text.isdecimal() and len(text) < 7 else 0.0


def failure(error: Exception) -> str:
    """Return in words why a connection failed; nothing that the other side said is in it."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or 'no reason given'}".lower().replace("tls", "TLS")
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "its name is not known"
        case OSError():
            return (error.strerror or type(error).__name__).lower()
        case _:
            return f"that is no HTTP: {type(error).__name__}"
