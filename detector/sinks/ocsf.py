"""Findings and events as OCSF has them: JSON lines in a file, or over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from detector.sinks.destination import Destination
from detector.sinks.http import HTTP, HTTP_TRANSPORTS, Poster
from detector.sinks.ocsf_activities import activity_event
from detector.sinks.ocsf_events import detection_finding
from detector.sinks.protocol import OneSink, Outlet, Record, Sender, Sink, rendering
from detector.sinks.rotating import ROTATION, RotatingFile
from ethogram.errors import UsageError

__all__ = ["sink"]

_TYPES = {"array": "application/json", "lines": "application/x-ndjson"}
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        **ROTATION,
        **HTTP,
        "body": "over HTTP, `array` (default): a list of events; `lines`: an event a line",
    }
)


class _Posted:
    batch = 100

    def __init__(self, destination: Destination, sender: Sender) -> None:
        self._body = destination.chosen("body", "array")
        if self._body not in _TYPES:
            raise UsageError("setting `body` is none that there is", hint="`array` or `lines`")
        self._poster = Poster(destination)
        self._sender = sender

    def send(self, records: Sequence[Record]) -> None:
        """Post *records* at once."""
        with rendering():
            lines = [_line(record, self._sender) for record in records]
        if self._body == "array":
            text = "[" + ",".join(lines) + "]"
        else:
            text = "".join(f"{line}\n" for line in lines)
        body = text.encode("utf-8", "backslashreplace")
        self._poster.post(body, _TYPES[self._body], {})

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()


def _line(record: Record, sender: Sender) -> str:
    made = (activity_event if record.is_event else detection_finding)(record, sender)
    return json.dumps(made, ensure_ascii=False)


def _open(destination: Destination, sender: Sender) -> Outlet:
    is_file = destination.transport == "file"
    for name in destination.settings:
        if name in _SETTINGS and (name in ROTATION) != is_file:
            raise UsageError(
                f"setting `{name}` means nothing for `{destination}`",
                hint="leave it out: it is for " + ("HTTP" if is_file else "files"),
            )
    if is_file:
        return RotatingFile(destination, lambda record: _line(record, sender))
    return _Posted(destination, sender)


def sink() -> Sink:
    """Return the sink `ocsf`."""
    return OneSink(
        "ocsf",
        "events of OCSF 1.8 (Detection Finding, Process, Network and DNS Activity)",
        HTTP_TRANSPORTS | {"file"},
        _SETTINGS,
        _open,
        takes_events=True,
    )
