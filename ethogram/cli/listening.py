"""`--listen`: where a session says over HTTP how it is doing."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ethogram.cli.screen import say
from ethogram.errors import UsageError

if TYPE_CHECKING:
    import socket

    from detector.sinks.outbox import SinkStatus
    from profiler.telemetry.reading import SinkReading
    from profiler.telemetry.telemetry import Telemetry

__all__ = ["AddressType", "ListenAddress", "listen_option", "sink_readings", "telemetry_of"]

_LOOPBACK = "127.0.0.1"
_PORT_DIGITS = 5


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """An address of this host, and a port; port 0 is any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether this host alone can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class AddressType(click.ParamType[ListenAddress]):
    """`PORT`, `ADDRESS:PORT` or `[ADDRESS]:PORT`; without an address the loopback's."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress:
        if isinstance(value, ListenAddress):
            return value
        host, colon, port = value.rpartition(":")
        is_port = port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS
        if not is_port or int(port) > 0xFFFF:
            self.fail(f"`{value}` ends in no port; write it as `127.0.0.1:9464`", param, ctx)
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            self.fail(f"`{value}`: an IPv6 address stands in brackets, `[::1]:9464`", param, ctx)
        if host == "localhost" or not (host or colon):
            host = _LOOPBACK
        try:
            return ListenAddress(str(ipaddress.ip_address(host)), int(port))
        except ValueError:
            self.fail(f"`{value}` begins with no address of a host", param, ctx)


def listen_option(command: Any) -> Any:
    """Add the option that `telemetry_of` reads."""
    return click.option(
        "--listen",
        metavar="[ADDRESS:]PORT",
        type=AddressType(),
        help="Serve /metrics for Prometheus, /healthz and /readyz there, on the loopback address "
        "unless another is named; docs/metrics.md lists the metrics.",
    )(command)


@contextmanager
def telemetry_of(values: dict[str, Any], *, command: str) -> Iterator[Telemetry | None]:
    """Yield what serves how a session of *command* is doing; None where nobody asked for that.

    It listens at once, while it may, and answers once the programs are attached.
    """
    address: ListenAddress | None = values["listen"]
    if address is None:
        yield None
        return
    from profiler.telemetry.telemetry import Telemetry

    listener = _listener(address)
    bound = ListenAddress(address.host, listener.getsockname()[1])
    say(f"metrics on http://{bound}/metrics")
    if not bound.is_loopback:
        say(
            f"warning: whoever reaches {bound} can read counts, states and the version, "
            "without a password and unencrypted"
        )
    telemetry = Telemetry(
        listener, command=command, window_s=values["window"] / 1000, tier=values["tier"]
    )
    try:
        yield telemetry
    finally:
        telemetry.close()


def sink_readings(statuses: Sequence[SinkStatus]) -> tuple[SinkReading, ...]:
    """Return what metrics say of sinks: without their places, of which some are secrets."""
    from profiler.telemetry.reading import SinkReading

    return tuple(
        SinkReading(
            sink=re.split(r"[+:]", one.sink, maxsplit=1)[0],
            number=number,
            works=one.state == "ok",
            sent=one.sent,
            refused=one.refused,
            damaged=one.damaged,
            dropped=one.dropped,
            waiting_bytes=one.waiting_bytes,
        )
        for number, one in enumerate(statuses, 1)
    )


def _listener(address: ListenAddress) -> socket.socket:
    from profiler.telemetry.server import listen

    try:
        return listen(address.host, address.port)
    except OSError as error:
        why = os.strerror(error.errno or 0).lower()
        raise UsageError(
            f"`--listen`: nothing can listen on {address}: {why}",
            hint="name an address of this host and a free port; "
            f"`ss -ltnp sport = :{address.port}` says who has it",
        ) from error
