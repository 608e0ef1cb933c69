"""Findings as log records of OpenTelemetry: OTLP over HTTP, as protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module

from detector.sinks.destination import Destination
from detector.sinks.http import HTTP, HTTP_TRANSPORTS, Poster
from detector.sinks.protocol import OneSink, Record, RefusedError, Sender, Sink, rendering
from ethogram.errors import UsageError

__all__ = ["sink"]

_PATH = "/v1/logs"


class _Otlp:
    batch = 200

    def __init__(self, destination: Destination, sender: Sender) -> None:
        try:
            self._records = import_module("detector.sinks.otlp_records")
        except ImportError as error:
            raise UsageError(
                "sink `otlp` needs the package `opentelemetry-proto`",
                hint="`pip install 'ethogram[otlp]'` brings it",
            ) from error
        self._poster = Poster(destination, _PATH)
        self._sender = sender

    def send(self, records: Sequence[Record]) -> None:
        """Post *records* as one request."""
        with rendering():
            body = self._records.request(records, self._sender, now=datetime.now(UTC))
        answer = self._poster.post(body, "application/x-protobuf", {})
        if rejected := self._records.rejected(answer):
            raise RefusedError("the receiver rejected log records", count=rejected)

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()


def sink() -> Sink:
    """Return the sink `otlp`."""
    return OneSink(
        "otlp", "OpenTelemetry logs (OTLP/HTTP)", HTTP_TRANSPORTS, HTTP, _Otlp, takes_events=True
    )
