"""Findings as JSON, posted to a URL."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from detector.sinks.credentials import secret
from detector.sinks.destination import Destination
from detector.sinks.http import HTTP, HTTP_TRANSPORTS, Poster
from detector.sinks.protocol import OneSink, Record, Sink
from ethogram.errors import UsageError

__all__ = ["sink"]

_BODIES = {
    "array": "application/json",
    "lines": "application/x-ndjson",
    "one": "application/json",
}
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        **HTTP,
        "body": "`array` (default): a list of findings a request; `lines`: a finding a line; "
        "`one`: one finding a request",
        "hmac-file": "file with a key: `X-Ethogram-Signature: sha256=HEX` is the body's HMAC",
        "hmac-env": "environment variable with that key",
    }
)


class _Webhook:
    def __init__(self, destination: Destination) -> None:
        self._body = destination.chosen("body", "array")
        if self._body not in _BODIES:
            raise UsageError(
                "setting `body` is none that there is", hint="`array`, `lines` or `one`"
            )
        self._key = secret(destination, "hmac")
        self._poster = Poster(destination)
        self.batch = 1 if self._body == "one" else 100

    def send(self, records: Sequence[Record]) -> None:
        """Post *records* at once."""
        # The lines are JSON already, and have no line end in them.
        lines = [record.line for record in records]
        match self._body:
            case "array":
                text = "[" + ",".join(lines) + "]"
            case "lines":
                text = "".join(f"{line}\n" for line in lines)
            case _:
                text = lines[0]
        body = text.encode("utf-8", "backslashreplace")
        headers = {}
        if self._key is not None:
            digest = hmac.new(self._key.encode(), body, hashlib.sha256).hexdigest()
            headers["X-Ethogram-Signature"] = f"sha256={digest}"
        self._poster.post(body, _BODIES[self._body], headers)

    def close(self) -> None:
        """Close the connection."""
        self._poster.close()


def sink() -> Sink:
    """Return the sink `webhook`."""
    return OneSink(
        "webhook",
        "JSON over HTTP",
        HTTP_TRANSPORTS,
        _SETTINGS,
        lambda destination, _: _Webhook(destination),
        takes_events=True,
    )
