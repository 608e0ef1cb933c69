r"""Findings as syslog messages of RFC 5424, over TCP (RFC 6587) or TLS (RFC 5425).

    <PRI>1 TIME HOST ethogram PID RULE [origin software="ethogram" swVersion="..."] BOM {JSON}

Each message is preceded by its length, so that nothing in it can pass for the end of it.
"""

from __future__ import annotations

import fcntl
import json
import re
import select
import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from detector.sinks.credentials import TLS, tls_context
from detector.sinks.destination import Destination, time_of
from detector.sinks.http import failure
from detector.sinks.protocol import LaterError, OneSink, Record, Sender, Sink, rendering
from ethogram.errors import UsageError

__all__ = ["message", "sink"]

_NAMES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8)),
)  # fmt: skip
_FACILITIES = {name: number for number, name in enumerate(_NAMES)}
_LEVELS = {"critical": 2, "high": 3, "medium": 4, "low": 5, "info": 6}
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        **TLS,
        "facility": "`authpriv` without it; `local0` to `local7`, or another of RFC 5424",
        "size": "the longest message, `8KiB` without it: what receivers take unless told otherwise",
        "timeout": "how long to wait for a connection or for room in it: `10s` without it",
    }
)
_LEAST_BYTES = 2048
_NOT_NAME = re.compile(r"[^!-~]")
_SIOCOUTQ = 0x5411
_POLL_S = 0.01
# What a message does without where it would be too long, the first first.
_SPARE = (
    ("process", "ancestry"),
    ("process", "session_leader"),
    ("process", "stdio"),
    ("evidence", "values"),
    ("evidence", "expected"),
    ("process", "argv"),
)


def message(record: Record, sender: Sender, *, facility: int, most: int) -> bytes:
    """Return *record* as one message of at most *most* bytes, without its length before it."""
    body = record.body
    severity = "info" if record.is_event else body["severity"]
    name = f"{body['kind']}-{body['activity']}" if record.is_event else body["rule"]
    header = (
        f"<{facility * 8 + _LEVELS[severity]}>1 {_time(body['time'])} "
        f"{_name(sender.host, 255)} ethogram {sender.pid} {_name(name, 32)} "
        f'[origin software="ethogram" swVersion="{sender.version}"] '
    )
    # The byte order mark says that what follows is UTF-8.
    head = header.encode() + b"\xef\xbb\xbf"
    return head + _shortened(body, most - len(head))


def _time(text: str) -> str:
    """Return *text* with six digits of a second at most."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return f"{whole}.{fraction[:6] or '0'}Z"


def _name(text: str, most: int) -> str:
    """Return *text* as a header field: printable ASCII without spaces."""
    return _NOT_NAME.sub("_", text)[:most] or "-"


def _shortened(body: Mapping[str, Any], most: int) -> bytes:
    """Return *body* as JSON of at most *most* bytes; `is_truncated` says so where parts are gone.

    Half a JSON document is none: parts of it are left out, and then its texts are cut.
    """
    data = _json(body)
    if len(data) <= most:
        return data
    short = json.loads(data)
    short["is_truncated"] = True
    for part, name in _SPARE:
        if isinstance(short.get(part), dict):
            short[part].pop(name, None)
        if len(data := _json(short)) <= most:
            return data
    longest = most
    while len(data) > most and longest > 8:
        longest //= 2
        data = _json(_cut(short, longest))
    return data


def _cut(value: Any, longest: int) -> Any:
    match value:
        case str():
            return value if len(value) <= longest else value[:longest] + "..."
        case dict():
            return {name: _cut(one, longest) for name, one in value.items()}
        case list():
            return [_cut(one, longest) for one in value[:longest]]
        case _:
            return value


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace")


class _Syslog:
    batch = 200

    def __init__(self, destination: Destination, sender: Sender) -> None:
        is_tls = destination.transport == "tls"
        self._address = destination.address(port=6514 if is_tls else 601)
        if destination.url.path not in {"", "/"} or destination.url.query:
            raise UsageError(f"`{destination}` has a path", hint="write it as `//HOST:PORT`")
        if not is_tls and any(name in destination.settings for name in TLS):
            raise UsageError(f"`{destination}` has certificates", hint="begin with `syslog+tls:`")
        self._tls = tls_context(destination) if is_tls else None
        self._timeout_s = time_of(destination.chosen("timeout", "10s"), "timeout")
        self._most = destination.size("size", "8KiB")
        facility = destination.chosen("facility", "authpriv")
        if facility not in _FACILITIES:
            raise UsageError("setting `facility` is none", hint="such as `authpriv` or `local0`")
        if self._most < _LEAST_BYTES:
            raise UsageError(f"setting `size` is less than {_LEAST_BYTES} bytes")
        self._facility = _FACILITIES[facility]
        self._sender = sender
        self._socket: socket.socket | None = None

    def send(self, records: Sequence[Record]) -> None:
        """Send *records*, and return once the receiver's kernel has them.

        Syslog has no answer: what a receiver had not read when it was killed is lost.
        """
        data = bytearray()
        with rendering():
            for record in records:
                one = message(record, self._sender, facility=self._facility, most=self._most)
                data += b"%d %s" % (len(one), one)
        try:
            if self._socket is not None and self._is_closed():
                self.close()
            if self._socket is None:
                self._socket = self._connect()
            self._socket.sendall(data)
            self._settle()
        except OSError as error:
            self.close()
            raise LaterError(failure(error)) from error

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._address, self._timeout_s)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise

    def _is_closed(self) -> bool:
        """Say whether the receiver has hung up; it has nothing else to say."""
        assert self._socket is not None
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.setblocking(False)
            try:
                if not self._socket.recv(4096):
                    return True
            except (ssl.SSLWantReadError, BlockingIOError):
                return False  # a session ticket of TLS 1.3, and nothing behind it
            except OSError:
                return True
            finally:
                self._socket.settimeout(self._timeout_s)
        return False

    def _settle(self) -> None:
        """Wait until what was sent was acknowledged by the receiver's kernel."""
        assert self._socket is not None
        for _ in range(max(1, round(self._timeout_s / _POLL_S))):
            unsent = fcntl.ioctl(self._socket.fileno(), _SIOCOUTQ, b"\0" * 4)
            if struct.unpack("i", unsent)[0] == 0:
                if self._is_closed():
                    raise ConnectionResetError(104, "Connection reset by peer")
                return
            if self._is_closed():
                raise ConnectionResetError(104, "Connection reset by peer")
            select.select([], [], [], _POLL_S)
        raise TimeoutError

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def sink() -> Sink:
    """Return the sink `syslog`."""
    return OneSink(
        "syslog",
        "syslog (RFC 5424) over TCP or TLS",
        frozenset({"tcp", "tls"}),
        _SETTINGS,
        _Syslog,
        takes_events=True,
    )
